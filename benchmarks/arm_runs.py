"""Runs of arms over seeds, and the figures that every optimizer benchmark makes of them."""

from __future__ import annotations

import multiprocessing
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import numpy.typing as npt

from benchmarks.arms import ArmResult
from benchmarks.running import say

QUALITY_PROCESSES = 2  # only where nothing is timed
NUM_RESAMPLES = 10_000
NONINFERIORITY_MARGIN = 0.05  # of the mean (ours - stock) / stock of the final test NMSE

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def quality_processes() -> ProcessPoolExecutor:
    """Processes for what is not timed."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(QUALITY_PROCESSES, mp_context=context, initializer=_log_prints)


def run_arms(arms: Mapping[str, Callable[[int], ArmResult]], seeds: Sequence[int]) -> dict[str, list[ArmResult]]:
    """Every arm on every seed, where nothing is timed."""
    with quality_processes() as processes:
        runs = {arm: [processes.submit(run, seed) for seed in seeds] for arm, run in arms.items()}
        return {arm: [said(run.result()) for run in started] for arm, started in runs.items()}


def nmse_ratios(ours: Sequence[ArmResult], stock: Sequence[ArmResult]) -> list[float]:
    """(ours - stock) / stock of the final test NMSE, seed by seed."""
    return [(a.test_nmse - b.test_nmse) / b.test_nmse for a, b in zip(ours, stock, strict=True)]


def interval_of_mean(values: Sequence[float]) -> list[float]:
    """95 % bootstrap interval of the mean of one value per seed."""
    return interval(np.array(values)[resamples(len(values))].mean(axis=1))


def resamples(count: int) -> IntArray:
    """Indices of seeds drawn with replacement, shape (NUM_RESAMPLES, count), the same at every call."""
    return np.random.default_rng(0).integers(0, count, size=(NUM_RESAMPLES, count))


def interval(statistics_of_resamples: FloatArray) -> list[float]:
    """Its central 95 %."""
    low, high = np.quantile(statistics_of_resamples, [0.025, 0.975])
    return [float(low), float(high)]


def mean_ratio(stock: Sequence[float], ours: Sequence[float]) -> float:
    """Mean over the seeds of stock over ours."""
    return statistics.fmean(a / b for a, b in zip(stock, ours, strict=True))


def said(result: ArmResult) -> ArmResult:
    """The result, which is told to whoever waits."""
    say(
        f"{result.arm} seed {result.seed}: {result.wall_s:.1f} s (ceiling {result.ceiling_s:.1f}), "
        f"{result.judge_calls} calls, test NMSE {result.baseline_test_nmse:.1f} -> {result.test_nmse:.1f}"
    )
    return result


def _log_prints() -> None:
    os.dup2(2, 1)
