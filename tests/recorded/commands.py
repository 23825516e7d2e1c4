"""Runs the commands that a user types against a simulated endpoint and says what they wrote, in a comparable form.

    python -m tests.recorded.commands --write    # records anew; say in the commit what changed and why

Times, versions and paths are left out; everything else is a pure function of seed and input.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.ray_head import CLUSTER_OF_OTHERS, ray_head

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
RECORDED = Path(__file__).with_name("commands.json")
LEDGER = Path(__file__).with_name("ledger.db")  # written by version 0.1, never anew
PORT = 47_815  # fixed: version 0.1 recorded an endpoint's judgments under its address, and so did LEDGER
MODEL = f"http://127.0.0.1:{PORT}/v1#m"
DATA = str(EXAMPLES / "workplace.jsonl")
CONFIG = {
    "model": "m",
    "seed": 1,
    "malformed_rate": 0.4,
    "rating_noise": 0.3,
    "effects": [
        {"pattern": "one line", "malformed_rate": -0.3},
        {"pattern": "{", "rating_noise": -0.1},
    ],
}
UNSTEADY = {
    "wall_s",
    "latency_s",
    "versions",
    "version",
    "date",
    "created",
    "registered_ms",
    "size_bytes",
    "python",
    "mean_latency_s",
    "git",
    "commit",
    "in_flight",
}
COMMANDS: dict[str, list[str]] = {
    "evaluate": ["evaluate", DATA, "--model", MODEL, "--split", "val", "--limit", "30", "--out", "{out}/evaluate"],
    "repeats": [
        *["evaluate", DATA, "--model", MODEL, "--mode", "guided", "--limit", "12", "--repeats", "3"],
        *["--temperature", "0.7", "--out", "{out}/repeats"],
    ],
    "again": ["evaluate", DATA, "--model", MODEL, "--split", "val", "--limit", "30", "--out", "{out}/again"],
    "mipro": [
        *["optimize", DATA, "--optimizer", "mipro", "--model", MODEL, "--budget", "150", "--limit", "20"],
        *["--out", "{out}/mipro"],
    ],
    "gepa": [
        *["optimize", DATA, "--optimizer", "gepa", "--model", MODEL, "--budget", "150", "--limit", "20"],
        *["--seed", "3", "--calibrate", "--out", "{out}/gepa"],
    ],
    "bullets": [
        *["optimize", DATA, "--optimizer", "bullets", "--model", MODEL, "--budget", "400", "--limit", "20"],
        *["--bullets", str(EXAMPLES / "bullets.txt"), "--max-bullets", "3", "--out", "{out}/bullets"],
    ],
    "calibrate": [
        *["calibrate", DATA, "--model", MODEL, "--mode", "expected", "--limit", "40", "--out", "{out}/calibrate"],
    ],
    "gate": ["gate", DATA, "--release", "{out}/mipro/release.json", "--limit", "40", "--out", "{out}/gate"],
    "label": [
        *["label", str(EXAMPLES / "unlabelled.parquet"), "--release", "{out}/mipro/release.json"],
        *["--force", "recorded for a test", "--out", "{out}/label"],
    ],
    "refused label": [
        *["label", str(EXAMPLES / "unlabelled.parquet"), "--release", "{out}/mipro/release.json"],
        *["--out", "{out}/refused"],
    ],
    "ablate": ["bullets", "ablate", DATA, "--release", "{out}/bullets/release.json", "--limit", "20"],
    "releases list": ["releases", "list"],
    "releases show": ["releases", "show", "{out}/mipro/release.json"],
    "releases diff": ["releases", "diff", "{out}/mipro/release.json", "{out}/gepa/release.json"],
    "status": ["status"],
    "check": ["check", "{out}/mipro/release.json"],
    "fresh": [
        *["evaluate", DATA, "--model", MODEL, "--split", "val", "--limit", "30", "--fresh", "--out", "{out}/fresh"],
    ],
    "ledger": ["ledger", "stats"],
}


@contextmanager
def endpoint() -> Iterator[None]:
    """The simulated model at its fixed address."""
    command = [sys.executable, "-m", "benchmarks.simulated_serving", "--port", str(PORT)]
    process = subprocess.Popen(
        [*command, "--json-config", json.dumps(CONFIG)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline(), f"the simulated endpoint did not start; is port {PORT} taken?"
        yield
    finally:
        process.terminate()
        process.communicate(timeout=20)


def run(words: list[str], folder: Path, home: Path, more: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What one command wrote to stdout and its exit status; `more` is added to its environment."""
    words = [word.replace("{out}", str(folder)) for word in words]
    words += [] if "--dry-run" in words else ["--json"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RELEVANCE_JUDGE_")}
    environment |= {"RELEVANCE_JUDGE_HOME": str(home), "COLUMNS": "160", **(more or {})}
    done = subprocess.run(
        [sys.executable, "-m", "cluster", *words],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stderr.strip().splitlines()[-1:] if done.returncode == 2 else []
    try:
        printed = json.loads(done.stdout) if done.stdout.strip() else None
    except ValueError:
        printed = done.stdout
    if done.returncode not in (0, 2, 3):
        raise AssertionError(f"{words} ended with {done.returncode}: {done.stderr[-3_000:]}")
    return {"status": done.returncode, "stdout": printed, "refusal": said}


def written(out: Path) -> dict[str, Any]:
    """What the folder of a run holds: documents whole, tables and lines as their digest and length."""
    found: dict[str, Any] = {}
    for file in sorted(out.rglob("*")):
        name = str(file.relative_to(out))
        if file.name == "figures.json":  # holds times
            found[name] = "present"
        elif file.name in ("release.json", "release_document.json", "baseline.json"):
            found[name] = digest(steady(json.loads(file.read_text()), out.parent))
        elif file.suffix == ".json":
            found[name] = json.loads(file.read_text())
        elif file.suffix == ".jsonl":
            lines = [json.loads(line) for line in file.read_text().splitlines()]
            found[name] = {"lines": len(lines), "sha256": digest(steady(lines, out.parent))}
        elif file.suffix == ".parquet":
            rows = pq.read_table(file)
            plain = steady(json.loads(json.dumps(rows.to_pylist(), default=str)), out.parent)
            found[name] = {
                "columns": [str(field) for field in rows.schema],
                "rows": len(plain),
                "sha256": digest(plain),
            }
        elif file.suffix == ".md":
            found[name] = file.read_text().splitlines()
        elif file.is_file():
            found[name] = "present"
    return found


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def steady(value: Any, folder: Path) -> Any:
    """A value without times, versions and paths."""
    if isinstance(value, dict):
        return {key: steady(one, folder) for key, one in sorted(value.items()) if key not in UNSTEADY}
    if isinstance(value, list):
        return [steady(one, folder) for one in value]
    if isinstance(value, str):
        text = value.replace(str(folder), "{out}").replace(str(folder.parent), "{folder}").replace(str(ROOT), "{root}")
        text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?", "{time}", text)
        return re.sub(r"\d{4}-\d\d-\d\d", "{day}", text)
    return value


def run_all(folder: Path) -> dict[str, Any]:
    """Everything that the commands of the table say and write, made comparable."""
    home, out = folder / "home", folder / "out"
    out.mkdir(parents=True)
    found: dict[str, Any] = {}
    with endpoint(), tempfile.TemporaryDirectory(prefix="rj") as scratch, ray_head(Path(scratch)) as address:
        on_one_ray = {**CLUSTER_OF_OTHERS, "RAY_ADDRESS": address}  # one that is started once is quicker
        for name, words in COMMANDS.items():
            found[name] = run(words, out, home, on_one_ray)
    for name, words in COMMANDS.items():
        if "--out" in words and (made := Path(words[words.index("--out") + 1].replace("{out}", str(out)))).is_dir():
            found[name]["files"] = written(made)
            if found[name]["files"].get("result.json") == found[name]["stdout"]:
                found[name]["files"]["result.json"] = "as printed"
    return json.loads(json.dumps(steady(found, out)))


def main() -> None:
    """Record what the commands write."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {RECORDED.name}")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run_all(Path(folder))
        if flags.write:
            RECORDED.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        else:
            json.dump(found, sys.stdout, indent=1, sort_keys=True)


if __name__ == "__main__":
    main()
