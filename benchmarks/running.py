"""How every benchmark is run: one JSON object on stdout, logs on stderr, arms in processes of their own."""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from cluster.endpoint.ray_cluster import OBJECT_STORE_BYTES
from cluster.endpoint.ray_environment import prepare_ray_environment

ROOT = Path(__file__).resolve().parents[1]
Arm = Callable[[bool], dict[str, Any]]


def run_benchmark(summary: str, measure: Callable[[bool], dict[str, Any]]) -> None:
    """Parse `--json --full`, measure, print; the exit status is non-zero only when nothing could be measured."""
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout (there is no other form)")
    parser.add_argument("--full", action="store_true", help="the full sizes, which take longer than 5 minutes")
    full = parser.parse_args().full
    prepare_ray_environment()
    with contextlib.redirect_stdout(sys.stderr):  # Ray and DSPy print
        result = measure(full)
    result["detail"] = {**result.get("detail", {}), "full": full, "machine": machine()}
    print(json.dumps(result, allow_nan=False))


def in_own_process(arm: Arm, full: bool) -> dict[str, Any]:
    """Measure an arm in a fresh process, so that its memory and its Ray are its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_begin) as process:
        return process.submit(arm, full).result()


def start_ray() -> None:
    """A local Ray whose workers find the benchmarks."""
    import ray

    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    ray.init(
        address="local",
        num_cpus=max(4, os.cpu_count() or 1),
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=OBJECT_STORE_BYTES,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}},
    )


def machine() -> dict[str, Any]:
    """What it was measured on."""
    return {"cores": os.cpu_count(), "python": platform.python_version(), "platform": platform.platform()}


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def _begin() -> None:
    os.dup2(2, 1)  # whatever the arm prints is a log
    prepare_ray_environment()
