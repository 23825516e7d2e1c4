"""A search from the command line on real vLLM: the embedded model judges and reflects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any, NamedTuple

from benchmarks.running import ROOT
from judge_serve.serving.home import models_dir


class RealSearch(NamedTuple):
    """What was run, without the folder; how long it took, model start included; what it printed."""

    command: list[str]
    wall_s: float
    result: dict[str, Any]


def search_on_vllm(optimizer: str, mode: str, budget: int) -> RealSearch:
    """One `relevance-judge optimize` on the example data, in a home of its own: nothing is known beforehand."""
    options = ["--optimizer", optimizer, "--mode", mode, "--budget", str(budget), "--json"]
    command = ["-m", "cluster", "optimize", "examples/workplace.jsonl", *options]
    with tempfile.TemporaryDirectory() as folder:
        home = {"RELEVANCE_JUDGE_HOME": f"{folder}/home", "RELEVANCE_JUDGE_MODELS": str(models_dir())}
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *command, "--out", f"{folder}/run"],
            stdout=subprocess.PIPE,
            check=True,
            cwd=ROOT,
            env={**os.environ, **home},
        )
        wall_s = time.perf_counter() - started
    return RealSearch(command, wall_s, json.loads(done.stdout))
