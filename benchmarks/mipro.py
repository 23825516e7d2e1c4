"""Our MIPROv2 against stock `dspy.MIPROv2`, on the landscape with demonstrations.

    python -m benchmarks.mipro --json [--full]

Keys: `speedup_vs_dspy_mipro` (stock's wall clock over ours, all three stages, the same number of trials, start of
pools excluded, mean of the seeds; judge and proposing model take time), `nmse_ratio_vs_dspy_mipro` ((ours - stock) /
stock of the final test NMSE, mean of the seeds; nothing takes time), `nmse_ratio_ci95` (bootstrap over seeds),
`nmse_noninferior` (1 if its upper end is at most 0.05), `validity_error` (40 % of the replies malformed: the largest
distance of the validity that a stage reports, pooled over seeds, from 0.60), `validity_error_vs_sent` (the largest
distance of a trial's validity from the share of well-formed replies that the engine really sent in its calls),
`stock_default_score` (the best score, in [0, 100], that stock reports there with its default `max_errors`). `--full`
takes more seeds, and runs a search on real vLLM.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from benchmarks.arm_runs import (
    NONINFERIORITY_MARGIN,
    interval_of_mean,
    mean_ratio,
    nmse_ratios,
    quality_processes,
    run_arms,
    said,
)
from benchmarks.arms import ArmResult
from benchmarks.landscape import LandscapeConfig
from benchmarks.landscape_demonstrations import AGAIN, HELP, MISLEAD, TOLERANCE, TYPICAL
from benchmarks.landscape_engines import NO_LATENCY, LatencyConfig
from benchmarks.our_mipro import PLAN, audit, optimize_on_vllm, run_ours
from benchmarks.reported_validity import StageValidity, pooled
from benchmarks.running import in_own_process, run_benchmark, start_ray
from benchmarks.stock_mipro import SLOTS, STAGES, StockSearch, run_dspy_mipro, search
from optimize_workers.optimizers.mipro.search import MiproPlan
from optimize_workers.optimizers.mipro.trials import AHEAD

TIME_SEEDS, TIME_SEEDS_FULL = range(2), range(6)
QUALITY_SEEDS, QUALITY_SEEDS_FULL = range(24), range(100)
STRICT_SEEDS, STRICT_SEEDS_FULL = range(12), range(100)
VALIDITY_SEEDS = range(45)  # some 3,600 judgments of demonstrations, the smallest stage: sampling error 0.008
BY_REPLY_SEEDS = range(24)
STOCK_DEFAULT_SEEDS = range(3)
STRICT_THRESHOLD = 0.98  # of a score; a rating half a unit off has 0.984
MALFORMED_RATE, MALFORMED_LEFT = 0.25, 0.35
HONESTY_RATE = 0.4
BOOTSTRAPPING_PLAN = MiproPlan(  # a search judges seven times for its demonstrations; this one does nothing else
    num_validation=4,
    minibatch=2,
    num_trials=0,
    num_sets=42,
    num_instructions=1,
    max_demonstrations=4,
    max_bootstrapping=10**4,
)


def measure(full: bool) -> dict[str, Any]:
    """All arms: times one after the other, then quality and honesty with two processes."""
    times = {
        arm: in_own_process(time_arm, full)["results"]
        for arm, time_arm in {"dspy_mipro": time_dspy_mipro, "ours": time_ours}.items()
    }
    quality = run_arms({"dspy_mipro": stock, "ours": ours}, QUALITY_SEEDS_FULL if full else QUALITY_SEEDS)
    quality |= run_arms({"dspy_mipro_strict": strict_stock}, STRICT_SEEDS_FULL if full else STRICT_SEEDS)
    ratios = nmse_ratios(quality["ours"], quality["dspy_mipro"])
    strict = quality["dspy_mipro_strict"]
    strict_ratios = nmse_ratios(quality["ours"][: len(strict)], strict)
    interval = interval_of_mean(ratios)
    honesty = measure_honesty()
    return {
        "speedup_vs_dspy_mipro": mean_ratio(_walls(times["dspy_mipro"]), _walls(times["ours"])),
        "nmse_noninferior": int(interval[1] <= NONINFERIORITY_MARGIN),
        "nmse_ratio_vs_dspy_mipro": statistics.fmean(ratios),
        "nmse_ratio_ci95": interval,
        "validity_error": honesty["validity_error"],
        "validity_error_vs_sent": honesty["validity_error_vs_sent"],
        "stock_default_score": honesty["stock_default"]["score"],
        "detail": {
            "time": {arm: summarize_time(results) for arm, results in times.items()},
            "speedup_of_ceilings": mean_ratio(_ceilings(times["dspy_mipro"]), _ceilings(times["ours"])),
            "quality": {arm: summarize_quality(results) for arm, results in quality.items()},
            "nmse_ratios": ratios,
            "vs_dspy_mipro_strict": {
                "nmse_ratio": statistics.fmean(strict_ratios),
                "nmse_ratio_ci95": interval_of_mean(strict_ratios),
                "metric_threshold": STRICT_THRESHOLD,
            },
            "honesty": honesty,
            "real": optimize_on_vllm() if full else None,
            "parameters": {
                "plan": PLAN._asdict(),
                "ahead": AHEAD,
                "slots": SLOTS,
                "latency": LatencyConfig().model_dump(),
                "landscape": config_of(0).model_dump(exclude={"seed"}),
                "demonstrations": {
                    "typical": TYPICAL,
                    "tolerance": TOLERANCE,
                    "help": HELP,
                    "again": AGAIN,
                    "mislead": MISLEAD,
                },
                "noninferiority_margin": NONINFERIORITY_MARGIN,
            },
        },
    }


# --- the arms ---


def config_of(seed: int) -> LandscapeConfig:
    """The landscape of time and quality: demonstrations repair the format."""
    return LandscapeConfig(seed=seed, malformed_rate=MALFORMED_RATE, malformed_left=MALFORMED_LEFT)


def honest_config_of(seed: int, by_example: bool = True) -> LandscapeConfig:
    """The landscape of honesty: nothing repairs the format."""
    return LandscapeConfig(seed=seed, malformed_rate=HONESTY_RATE, malformed_by_example=by_example)


def time_dspy_mipro(full: bool) -> dict[str, Any]:
    """Stock with latency."""
    return {"results": [said(run_dspy_mipro(config_of(seed), LatencyConfig())) for seed in _time_seeds(full)]}


def time_ours(full: bool) -> dict[str, Any]:
    """Ours with latency, on local Ray workers."""
    start_ray()
    return {"results": [said(run_ours(config_of(seed), with_latency=True)) for seed in _time_seeds(full)]}


def stock(seed: int) -> ArmResult:
    """Stock without latency; one thread finds what 64 find, in less time."""
    return run_dspy_mipro(config_of(seed), NO_LATENCY, num_threads=1)


def strict_stock(seed: int) -> ArmResult:
    """Stock that shows only what the judge rated nearly as people did."""
    return run_dspy_mipro(config_of(seed), NO_LATENCY, num_threads=1, metric_threshold=STRICT_THRESHOLD)


def ours(seed: int) -> ArmResult:
    """Ours without latency."""
    return run_ours(config_of(seed), with_latency=False)


def stock_default(seed: int) -> StockSearch:
    """Stock with its default `max_errors`, where nothing repairs the format."""
    return search(honest_config_of(seed), NO_LATENCY, num_threads=1)


def audit_stages(seed: int, by_example: bool = True) -> dict[str, StageValidity]:
    """Validity at each stage of our search, where nothing repairs the format."""
    return audit(honest_config_of(seed, by_example))


def audit_bootstrapping(seed: int) -> dict[str, StageValidity]:
    """Validity of many demonstrations' judgments."""
    return audit(honest_config_of(seed), BOOTSTRAPPING_PLAN)


# --- the figures ---


def measure_honesty() -> dict[str, Any]:
    """What ours and stock report where 40 % of the replies are malformed.

    `by_reply` draws them anew for every program: choosing programs by their scores then also chooses those with fewer
    malformed replies among the examples they were chosen by, which is why full evaluations report more than 0.60;
    it is what was sent.
    """
    with quality_processes() as processes:
        default = list(processes.map(stock_default, STOCK_DEFAULT_SEEDS))
        stages = pooled(processes.map(audit_stages, VALIDITY_SEEDS))
        bootstrapping = pooled(processes.map(audit_bootstrapping, VALIDITY_SEEDS))["demonstrations"]
        by_reply = pooled(processes.map(partial(audit_stages, by_example=False), BY_REPLY_SEEDS))
    by_example = {**stages, "demonstrations": stages["demonstrations"].plus(bootstrapping)}
    everything = [*by_example.values(), *by_reply.values()]
    return {
        "validity_error": max(abs(one.validity - (1.0 - HONESTY_RATE)) for one in by_example.values()),
        "validity_error_vs_sent": max(one.largest_error for one in everything),
        "stages": summarize_validity(by_example),
        "by_reply": summarize_validity(by_reply),
        "stock_default": {
            "score": max(found.score for found in default),
            "trial_scores": [found.trial_scores for found in default],
            "judge_calls": [found.result.judge_calls for found in default],
        },
    }


def summarize_validity(stages: dict[str, StageValidity]) -> dict[str, Any]:
    """Judgments and validity of each stage, as reported and as sent."""
    return {
        stage: {"judgments": one.judgments, "reported": one.validity, "sent": one.sent / one.judgments}
        for stage, one in stages.items()
    }


def summarize_time(results: Sequence[ArmResult]) -> dict[str, Any]:
    """Wall clock, the ceiling of the arm's own order of waits, and the share of it that was reached, by stage too.

    A stage's ceiling takes the stage on its own; ours makes demonstrations and instructions at once.
    """
    return {
        "wall_s": _walls(results),
        "ceiling_s": _ceilings(results),
        "share_of_ceiling": _shares(zip(_ceilings(results), _walls(results), strict=True)),
        "stages": {
            stage: {
                "wall_s": [result.stages_s[stage] for result in results],
                "ceiling_s": [result.stage_ceilings_s[stage] for result in results],
                "share_of_ceiling": _shares(
                    (result.stage_ceilings_s[stage], result.stages_s[stage]) for result in results
                ),
            }
            for stage in STAGES
        },
        "judge_calls": [result.judge_calls for result in results],
        "reflections": [result.reflections for result in results],
        "test_nmse": [result.test_nmse for result in results],
    }


def summarize_quality(results: Sequence[ArmResult]) -> dict[str, Any]:
    """Final figures over the seeds, and every run."""
    return {
        "baseline_test_nmse_mean": statistics.fmean(result.baseline_test_nmse for result in results),
        "test_nmse_mean": statistics.fmean(result.test_nmse for result in results),
        "test_nmse_stdev": statistics.stdev(result.test_nmse for result in results),
        "judge_calls_mean": statistics.fmean(result.judge_calls for result in results),
        "distinct_calls_mean": statistics.fmean(result.distinct_calls or result.judge_calls for result in results),
        "reflections_mean": statistics.fmean(result.reflections for result in results),
        "demonstrations_mean": statistics.fmean(result.demonstrations for result in results),
        "runs": [result.as_dict() for result in results],
    }


def _walls(results: Sequence[ArmResult]) -> list[float]:
    return [result.wall_s for result in results]


def _ceilings(results: Sequence[ArmResult]) -> list[float]:
    return [result.ceiling_s for result in results]


def _shares(ceilings_and_walls: Iterable[tuple[float, float]]) -> list[float]:
    return [ceiling_s / wall_s for ceiling_s, wall_s in ceilings_and_walls]


def _time_seeds(full: bool) -> Sequence[int]:
    return TIME_SEEDS_FULL if full else TIME_SEEDS


if __name__ == "__main__":
    from benchmarks import mipro  # by its name: other processes know no `__main__` of ours

    run_benchmark("our MIPROv2 against stock", mipro.measure)
