"""What the statistics of a comparison cost, and whether they hold what they say.

    python -m benchmarks.statistics --json [--full]

Keys: `bootstrap_s` (seconds of the paired comparison of two judges on 10,000 pairs, 10,000 resamples, of the slowest of
three numbers of queries), `coverage` (share of simulated trials whose 95 % interval holds the true difference, over all
scenarios with 40 queries or more), `coverage_worst` with `coverage_worst_scenario` (the one of them that is farthest
from 0.95; of several scenarios one is always unlucky), `false_pass_rate` (share of trials in which the gate passes a
judge that is truly worse by exactly the allowed margin, of the worst of these scenarios). In `detail`: every scenario,
also those with fewer queries than the keys speak for, and the memory. `--full` takes more trials.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from benchmarks.judge_population import SCENARIOS, Population, Scenario
from benchmarks.running import in_own_process, run_benchmark, say
from judge_serve.judging.scale import Scale
from optimize_workers.evidence.gate.check import check_gate
from optimize_workers.evidence.gate.config import GateConfig
from optimize_workers.evidence.gate.evidence import GateEvidence
from optimize_workers.statistics.comparison import compare, compare_fully
from optimize_workers.statistics.metrics import measure as measure_figures
from optimize_workers.statistics.resampling import NUM_RESAMPLES

NUM_PAIRS = 10_000
QUERY_COUNTS = (100, 1_000, 10_000)  # of the timed pairs
REPEATS = 3  # the fastest counts: what else the machine does only makes it slower
MIN_QUERIES = 40  # that `coverage` and `false_pass_rate` speak for
PROCESSES = 2  # nothing of the simulations is timed


@dataclass(frozen=True)
class Sizes:
    """How much is simulated."""

    trials: int = 1_000
    pairs: int = NUM_PAIRS


QUICK, FULL = Sizes(), Sizes(trials=4_000)


class Trial(NamedTuple):
    """One simulated comparison.

    Attributes:
        below, above: the interval ends below the truth, or begins above it.
        width: of the interval, in NMSE points.
        passes: whether the gate passes the second judge with the true difference as margin.
        other_reasons: whether a rule other than that of the comparison refuses it.
    """

    below: bool
    above: bool
    width: float
    passes: bool
    other_reasons: bool


def measure(full: bool, sizes: Sizes | None = None) -> dict[str, Any]:
    """Time, coverage and false passes; `sizes` other than the usual ones are for tests."""
    sizes = sizes or (FULL if full else QUICK)
    timed = in_own_process_of(sizes)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as processes:
        started = {one.name: processes.submit(simulate, one, sizes.trials) for one in SCENARIOS}
        scenarios = {name: future.result() for name, future in started.items()}
    many = {name: one for name, one in scenarios.items() if one["queries"] >= MIN_QUERIES}
    worst = max(many, key=lambda name: abs(many[name]["coverage"] - 0.95))
    return {
        "bootstrap_s": timed["bootstrap_s"],
        "coverage": statistics.fmean(one["coverage"] for one in many.values()),
        "coverage_worst": many[worst]["coverage"],
        "coverage_worst_scenario": worst,
        "false_pass_rate": max(one["false_pass_rate"] for one in many.values()),
        "detail": {
            **timed["detail"],
            "scenarios": scenarios,
            "parameters": {**asdict(sizes), "resamples": NUM_RESAMPLES, "keys_from_queries": MIN_QUERIES},
        },
    }


def in_own_process_of(sizes: Sizes) -> dict[str, Any]:
    """The timed comparison in a process of its own, whose memory is its own."""
    return in_own_process(time_comparison if sizes.pairs == NUM_PAIRS else time_few, full=False)


def time_few(full: bool) -> dict[str, Any]:
    """`time_comparison` on a hundredth of the pairs, for tests."""
    return time_comparison(full, NUM_PAIRS // 100)


def time_comparison(full: bool, num_pairs: int = NUM_PAIRS) -> dict[str, Any]:
    """Seconds and processor seconds of both comparisons by number of queries, and the peak memory of the process."""
    scale = Scale()
    rss_before = _peak_gb()
    seconds: dict[str, dict[str, float]] = {}
    for most in QUERY_COUNTS:
        num_queries = min(most, num_pairs)
        scenario = Scenario(f"{num_queries} queries", num_queries, num_pairs // num_queries)
        first, second, examples = Population(scenario).draw(np.random.default_rng(0))
        taken: defaultdict[str, list[float]] = defaultdict(list)
        for _ in range(REPEATS):
            for name, comparing in (("compare_s", compare), ("compare_fully_s", compare_fully)):
                started, cpu_started = time.perf_counter(), time.process_time()
                comparing(first, second, examples, scale)
                taken[name].append(time.perf_counter() - started)
                taken[f"{name[:-2]}_cpu_s"].append(time.process_time() - cpu_started)
        seconds[str(num_queries)] = {name: min(values) for name, values in taken.items()}
        say(f"{num_pairs} pairs of {num_queries} queries: {seconds[str(num_queries)]}")
    return {
        "bootstrap_s": max(one["compare_s"] for one in seconds.values()),
        "detail": {"seconds_by_queries": seconds, "peak_rss_gb": _peak_gb(), "rss_before_gb": rss_before},
    }


def simulate(scenario: Scenario, num_trials: int) -> dict[str, Any]:
    """Trials of a scenario: drawn judges whose true difference is known exactly."""
    population, scale = Population(scenario), Scale()
    truth = population.true_difference
    config = GateConfig(max_worsening=truth)
    trials = []
    for number in range(num_trials):
        first, second, examples = population.draw(np.random.default_rng([scenario.seed, number]))
        compared = compare(first, second, examples, scale, seed=number)
        gate = check_gate(GateEvidence(measure_figures(second, examples, scale), compared), config)
        low, high = compared.ci95
        other_reasons = len(gate.reasons) > int(high > truth)
        trials.append(Trial(high < truth, low > truth, high - low, gate.passed, other_reasons))
    found = {
        "queries": scenario.num_queries,
        "true_difference": truth,
        "true_nmse": list(population.true_nmse),
        "coverage": 1.0 - statistics.fmean(trial.below or trial.above for trial in trials),
        "ends_below_truth": statistics.fmean(trial.below for trial in trials),
        "begins_above_truth": statistics.fmean(trial.above for trial in trials),
        "median_width": statistics.median(trial.width for trial in trials),
        "false_pass_rate": statistics.fmean(trial.passes for trial in trials),
        "other_refusals": statistics.fmean(trial.other_reasons for trial in trials),
        "trials": num_trials,
        "scenario": asdict(scenario),
    }
    say(f"{scenario.name}: coverage {found['coverage']:.3f}, false passes {found['false_pass_rate']:.3f}")
    return found


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    from benchmarks import statistics as by_name  # other processes know no `__main__` of ours

    run_benchmark("what the statistics of a comparison cost and cover", by_name.measure)
