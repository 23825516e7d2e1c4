"""`demo`: the whole loop on the embedded model and the shipped examples."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import Field

from cluster.adapting.config import MAX_SEED
from cluster.commands.printing import print_plain
from cluster.commands.running import Command, Result
from cluster.commands.tables import print_calibration, print_figures, print_gate, print_ratings
from cluster.progress import Progress
from cluster.runs.config import CommandConfig, MaxNotJudged


def default_out() -> Path:
    """A fresh folder for a demo without `--out`."""
    return Path("out") / time.strftime("demo-%Y%m%d-%H%M%S")


class DemoConfig(CommandConfig):
    """Config of `demo`."""

    quick: bool = Field(False, description="Small budget and few examples.")
    budget: int = Field(300, ge=1, description="Judge calls of the search.")
    seed: int = Field(0, ge=0, lt=MAX_SEED, description="Seed of the search.")
    max_not_judged: MaxNotJudged = None
    out: Path = Field(default_factory=default_out, description="Folder of the run; a fresh one in out/ by default.")


def run(config: DemoConfig, progress: Progress) -> Result:
    """Go through the whole loop."""
    from cluster.commands.demo_loop import run_demo

    return run_demo(config, progress)


def show(result: Result) -> None:
    """The before/after table, the release, the endpoint's answer and the labels."""
    judges = [
        ("baseline", result["baseline"]),
        (f"winner ({result['optimizer']})", result["winner"]),
        ("baseline, expected", result["expected_baseline"]),
        ("winner, expected", result["expected"]),
        ("winner, calibrated", result["calibrated"]),
    ]
    print_figures(f"{result['winner']['dataset']['n']} held-out pairs", judges)
    print_calibration(result["calibration"])
    print_ratings("winner", result["winner"])
    print_gate(result["deployed_gate"])
    answer = result["endpoint_answer"]
    rated = answer["rating"] if answer["rating"] is not None else f"invalid: {answer['invalid_reason']}"
    print_plain(f"release    {result['release']} (mode {result['deployed_mode']})")
    print_plain(f"endpoint   '{answer['query']}' -> {rated} in {answer['latency_ms']:.0f} ms")
    print_plain(f"labels     {result['labels']}")
    print_plain(f"wall time  {result['wall_s']:.0f} s")


COMMAND = Command(DemoConfig, run, show)
