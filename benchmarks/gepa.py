"""Our GEPA against stock `dspy.GEPA` and stock `gepa.optimize` with P x N sampling, on the landscape.

    python -m benchmarks.gepa --json [--full]

Keys: `speedup_vs_dspy_gepa`, `speedup_vs_gepa_pxn` (their wall clock per budget over ours, mean of the seeds; judge and
reflection model take time), `nmse_ratio_vs_dspy_gepa` ((ours - stock) / stock of the final test NMSE, mean of the
seeds; nothing takes time), `nmse_ratio_ci95` (bootstrap over seeds), `nmse_noninferior` (1 if its upper end is at most
0.05), `calls_to_target_ratio` (mean judge calls until the validation NMSE has closed 80 % of stock's median gain,
censored at the budget, ours over stock's). In `detail`, `width` says what more at once costs, `small_budgets` what a
search of a few candidates finds. `--full` takes more seeds, and runs a search on real vLLM with the embedded model.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.arm_runs import (
    NONINFERIORITY_MARGIN,
    interval,
    interval_of_mean,
    mean_ratio,
    nmse_ratios,
    resamples,
    run_arms,
    said,
)
from benchmarks.arms import ArmResult
from benchmarks.landscape import (
    DIFFICULTY,
    EVERY_HELPFUL,
    FRESH_NOISE,
    HARM,
    OWN_NOISE,
    Landscape,
    LandscapeConfig,
)
from benchmarks.landscape_engines import (
    FITTING,
    IDLE,
    NO_LATENCY,
)
from benchmarks.landscape_texts import FAILURES, RULES
from benchmarks.our_gepa import LATENCY, optimize_on_vllm, run_ours
from benchmarks.running import in_own_process, run_benchmark, start_ray
from benchmarks.stock_gepa import BUDGET, CHILDREN, MINIBATCH, PARENTS, SLOTS, run_dspy_gepa, run_gepa_pxn

QUALITY_SEEDS, QUALITY_SEEDS_FULL = range(24), range(100)
SMALL_BUDGETS, SMALL_SEEDS = (300, 600), range(12)
TIME_SEEDS, TIME_SEEDS_FULL = range(2), range(6)
TARGET_SHARE = 0.8  # of stock's median gain


def measure(full: bool) -> dict[str, Any]:
    """All arms: times one after the other, then quality with two processes."""
    times = {
        arm: in_own_process(time_arm, full)["results"]
        for arm, time_arm in {"dspy_gepa": time_dspy_gepa, "gepa_pxn": time_gepa_pxn, "ours": time_ours}.items()
    }
    quality = measure_quality(QUALITY_SEEDS_FULL if full else QUALITY_SEEDS)
    walls = {arm: [result.wall_s_for(BUDGET) for result in results] for arm, results in times.items()}
    against_dspy = compare(quality["ours"], quality["dspy_gepa"])
    return {
        "speedup_vs_dspy_gepa": mean_ratio(walls["dspy_gepa"], walls["ours"]),
        "speedup_vs_gepa_pxn": mean_ratio(walls["gepa_pxn"], walls["ours"]),
        "nmse_noninferior": int(against_dspy["nmse_ratio_ci95"][1] <= NONINFERIORITY_MARGIN),
        "nmse_ratio_vs_dspy_gepa": against_dspy["nmse_ratio"],
        "nmse_ratio_ci95": against_dspy["nmse_ratio_ci95"],
        "calls_to_target_ratio": against_dspy["calls_to_target_ratio"],
        "detail": {
            "time": {arm: summarize_time(results) for arm, results in times.items()},
            "speedup_of_ceilings": {
                arm: mean_ratio(_ceilings(times[arm]), _ceilings(times["ours"])) for arm in ("dspy_gepa", "gepa_pxn")
            },
            "quality": {arm: summarize_quality(results) for arm, results in quality.items()},
            "ours_vs_dspy_gepa": against_dspy,
            "ours_vs_gepa_pxn": compare(quality["ours"], quality["gepa_pxn"]),
            "width": {  # what more at once costs in judge calls and in the final NMSE
                "gepa_pxn_vs_dspy_gepa": compare(quality["gepa_pxn"], quality["dspy_gepa"]),
                "ours_vs_ours_one_generation_at_a_time": compare(quality["ours"], quality["ours_one_at_a_time"]),
            },
            "small_budgets": {budget: measure_small(budget) for budget in SMALL_BUDGETS},
            "real": optimize_on_vllm() if full else None,
            "landscape": describe_landscape([result.seed for result in quality["ours"]]),
            "parameters": {
                "budget": BUDGET,
                "minibatch": MINIBATCH,
                "slots": SLOTS,
                "parents_x_children": [PARENTS, CHILDREN],
                "latency": LATENCY.model_dump(),
                "target_share": TARGET_SHARE,
                "noninferiority_margin": NONINFERIORITY_MARGIN,
            },
        },
    }


# --- the arms ---


def time_dspy_gepa(full: bool) -> dict[str, Any]:
    """Stock `dspy.GEPA` with latency."""
    return {"results": [said(run_dspy_gepa(seed, LATENCY)) for seed in _time_seeds(full)]}


def time_gepa_pxn(full: bool) -> dict[str, Any]:
    """Stock `gepa.optimize` with latency."""
    return {"results": [said(run_gepa_pxn(seed, LATENCY)) for seed in _time_seeds(full)]}


def time_ours(full: bool) -> dict[str, Any]:
    """Ours with latency, on local Ray workers."""
    start_ray()
    return {"results": [said(run_ours(seed, with_latency=True)) for seed in _time_seeds(full)]}


def measure_quality(seeds: Sequence[int]) -> dict[str, list[ArmResult]]:
    """Every arm on every seed without latency."""
    arms = {
        "dspy_gepa": partial(run_dspy_gepa, latency=NO_LATENCY, num_threads=1),  # the search of 64, in less time
        "gepa_pxn": partial(run_gepa_pxn, latency=NO_LATENCY, num_threads=1),
        "ours": partial(run_ours, with_latency=False),
        "ours_one_at_a_time": partial(run_ours, with_latency=False, ahead=1),
    }
    return run_arms(arms, seeds)


def measure_small(budget: int) -> dict[str, Any]:
    """Final test NMSE of a search that pays for a few candidates only."""
    arms = {
        "dspy_gepa": partial(run_dspy_gepa, latency=NO_LATENCY, num_threads=1, max_judge_calls=budget),
        "ours": partial(run_ours, with_latency=False, max_judge_calls=budget),
    }
    results = run_arms(arms, SMALL_SEEDS)
    ratios = nmse_ratios(results["ours"], results["dspy_gepa"])
    return {
        "test_nmse": {arm: statistics.fmean(run.test_nmse for run in runs) for arm, runs in results.items()},
        "judge_calls": {arm: statistics.fmean(run.judge_calls for run in runs) for arm, runs in results.items()},
        "nmse_ratio": statistics.fmean(ratios),
        "nmse_ratio_ci95": interval_of_mean(ratios),
    }


# --- the figures ---


def compare(ours: Sequence[ArmResult], stock: Sequence[ArmResult]) -> dict[str, Any]:
    """Final test NMSE and judge calls to the target, seed by seed."""
    ratios = nmse_ratios(ours, stock)
    target_gain = TARGET_SHARE * statistics.median(result.gain for result in stock)
    calls = np.array(
        [
            [result.calls_to(result.baseline_val_nmse - target_gain, BUDGET) for result in pair]
            for pair in zip(ours, stock, strict=True)
        ],
        dtype=np.float64,
    )
    means = calls[resamples(len(calls))].mean(axis=1)
    mean_ours, mean_stock = map(float, calls.mean(axis=0))
    return {
        "nmse_ratio": statistics.fmean(ratios),
        "nmse_ratio_ci95": interval_of_mean(ratios),
        "nmse_ratios": ratios,
        "target_gain": target_gain,
        "calls_to_target": [mean_ours, mean_stock],
        "calls_to_target_censored": [int((column >= BUDGET).sum()) for column in calls.T],
        "calls_to_target_ratio": mean_ours / mean_stock,
        "calls_to_target_ratio_ci95": interval(means[:, 0] / means[:, 1]),
        "seeds": len(ratios),
    }


def summarize_time(results: Sequence[ArmResult]) -> dict[str, Any]:
    """Wall clock, the ceiling of the arm's own order of waits, and the share of it that was reached."""
    return {
        "wall_s": [result.wall_s for result in results],
        "wall_s_per_budget": [result.wall_s_for(BUDGET) for result in results],
        "ceiling_s": [result.ceiling_s for result in results],
        "share_of_ceiling": [result.ceiling_s / result.wall_s for result in results],
        "judge_calls": [result.judge_calls for result in results],
        "reflections": [result.reflections for result in results],
        "test_nmse": [result.test_nmse for result in results],
    }


def summarize_quality(results: Sequence[ArmResult]) -> dict[str, Any]:
    """Final figures over the seeds, and every run."""
    return {
        "test_nmse_mean": statistics.fmean(result.test_nmse for result in results),
        "test_nmse_stdev": statistics.stdev(result.test_nmse for result in results),
        "val_gain_median": statistics.median(result.gain for result in results),
        "judge_calls_mean": statistics.fmean(result.judge_calls for result in results),
        "reflections_mean": statistics.fmean(result.reflections for result in results),
        "candidates_mean": statistics.fmean(len(result.progress) for result in results),
        "runs": [result.as_dict() for result in results],
    }


def describe_landscape(seeds: Sequence[int]) -> dict[str, Any]:
    """Its parameters, and what can be gained on it: test NMSE without any rule and with all that help."""
    landscapes = [Landscape(LandscapeConfig(seed=seed)) for seed in seeds]
    return {
        "baseline_test_nmse": statistics.fmean(one.nmse(frozenset(), one.test) for one in landscapes),
        "best_test_nmse": statistics.fmean(one.nmse(EVERY_HELPFUL, one.test) for one in landscapes),
        "config": LandscapeConfig().model_dump(exclude={"seed"}),
        "harm": HARM,
        "difficulty": DIFFICULTY,
        "own_noise": OWN_NOISE,
        "fresh_noise": FRESH_NOISE,
        "proposals": {"fitting": FITTING, "idle": IDLE, "harmful": round(1.0 - FITTING - IDLE, 9)},
        "rules": {name: rule._asdict() for name, rule in RULES.items()},
        "failures": {name: {"sign": failure.sign, "size": failure.size} for name, failure in FAILURES.items()},
    }


def _ceilings(results: Sequence[ArmResult]) -> list[float]:
    return [result.ceiling_s * BUDGET / result.judge_calls for result in results]


def _time_seeds(full: bool) -> Sequence[int]:
    return TIME_SEEDS_FULL if full else TIME_SEEDS


if __name__ == "__main__":
    from benchmarks import gepa  # by its name: other processes know no `__main__` of ours

    run_benchmark("our GEPA against stock", gepa.measure)
