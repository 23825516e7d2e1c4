"""`demo --quick`: the whole loop, as a newcomer runs it, with a small budget."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from judge_serve.serving.home import models_dir


@pytest.mark.model
@pytest.mark.timeout(1_500)
def test_demo_runs_the_whole_loop_and_leaves_nothing_running(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "cluster", "demo", "--quick", "--out", str(out), "--json"],
        env={**os.environ, "RELEVANCE_JUDGE_HOME": str(tmp_path), "RELEVANCE_JUDGE_MODELS": str(models_dir())},
        capture_output=True,
        text=True,
        timeout=1_400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result == json.loads((out / "result.json").read_text())
    assert result["baseline"]["validity"] <= 0.2
    assert result["winner"]["validity"] > result["baseline"]["validity"]
    assert result["calls"] <= result["budget"]
    assert result["endpoint_answer"]["release"] == result["release"]
    assert result["deployed_gate"]["passed"] or result["deployed_gate"]["override"]
    labels = pq.read_table(result["labels"])
    assert set(labels["release"].to_pylist()) == {result["release"]}
    rows = pq.read_table(out / "judgments.parquet").to_pylist()
    for arm in ("baseline", "winner"):  # what is shown can be recomputed
        losses = [
            100.0 if row["rating"] is None else 100.0 * ((row["rating"] - row["gold_rating"]) / 4) ** 2
            for row in rows
            if row["arm"] == arm
        ]
        assert sum(losses) / len(losses) == pytest.approx(result[arm]["nmse"])
    assert (out / "report.html").stat().st_size > 1_000
    deadline = time.monotonic() + 30  # killed processes take a moment to go
    while left := _processes_of(tmp_path):
        assert time.monotonic() < deadline, left
        time.sleep(1)


def _processes_of(folder: Path) -> list[str]:
    """Command lines of processes that carry the demo's folder in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("RELEVANCE_JUDGE_HOME", "").startswith(str(folder)):
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
