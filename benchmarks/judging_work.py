"""The judging work itself, by pytest-benchmark, in microseconds.

    python -m benchmarks.judging_work --json

Keys, medians in microseconds: `render_us`, `parse_us`, `parse_prose_us`, `read_expected_us`, `call_key_us`,
`judge_pair_us` (a whole judge call without Ray, the simulated engine's share included).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from benchmarks.running import ROOT, run_benchmark

CALLS_OF_A_ROUND = {"judge_pair": 100}


def measure(_full: bool) -> dict[str, Any]:
    """Run the timed tests and read what they took."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "times.json"
        timed = str(ROOT / "benchmarks" / "timed_judging.py")
        status = pytest.main(["-q", "-p", "no:cacheprovider", f"--benchmark-json={file}", timed])
        if status:
            raise RuntimeError(f"the timed tests failed with status {int(status)}")
        times = json.loads(file.read_text(encoding="utf-8"))["benchmarks"]
    names = {one["name"].removeprefix("test_"): one["stats"] for one in times}
    per_call = {
        name: {key: 1e6 * stats[key] / CALLS_OF_A_ROUND.get(name, 1) for key in ("min", "median", "iqr")}
        for name, stats in names.items()
    }
    return {**{f"{name}_us": stats["median"] for name, stats in per_call.items()}, "detail": {"us": per_call}}


if __name__ == "__main__":
    run_benchmark("the judging work", measure)
