"""Choosing bullets on the landscape, against plain greedy forward selection on full evaluations.

    python -m benchmarks.bullets --json [--full]

A library of 60 bullets: 8 help, 6 hurt, 4 help only as two pairs, 42 are idle. Keys, medians over the seeds: `found`
(of the 8), `harmful_kept`, `pairs_found` (of the 2), `calls_ratio_vs_greedy` (judge calls of the whole search over
those of greedy selection, which judges the program with each bullet that is left on all validation examples, takes the
best, and stops when none improves). In `detail`: every run, and what smaller budgets find. `--full` takes more seeds.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from benchmarks.landscape import JUDGE, Landscape, RuleSet
from benchmarks.landscape_bullets import HELPFUL, HURTING, PAIRS, SIZES, bullets_in, config_of, library, names_of
from benchmarks.landscape_engines import LandscapeEngine
from benchmarks.recording import InProcessPool
from benchmarks.running import run_benchmark, say
from optimize_workers.evaluation.budget import Budget
from optimize_workers.evaluation.budgeted import Budgeted
from optimize_workers.optimizers.bullets.search import BulletOptimizer
from optimize_workers.study import Study

SEEDS, SEEDS_FULL = range(100, 112), range(100, 160)  # the search's thresholds were chosen on others
MAX_BULLETS = 16  # four more than help
BUDGET = 60_000  # more than any search takes
SMALL_BUDGETS, SMALL_SEEDS = (1_000, 3_000, 8_000), range(100, 106)
PROCESSES = 2  # nothing is timed


class Greedy(NamedTuple):
    """What greedy selection came to."""

    calls: int
    kept: int
    found: int
    harmful_kept: int
    pairs_found: int
    test_nmse: float


@dataclass(frozen=True)
class Run:
    """One search.

    Attributes:
        found, harmful_kept, pairs_found, idle_kept: of the bullets in the winner.
        harmful_named, wrongly_named: of the bullets that the search says hurt.
        calls: judge calls of the whole search.
        baseline_test_nmse, test_nmse, best_test_nmse: without bullets, of the winner, of all that help.
    """

    seed: int
    found: int
    harmful_kept: int
    pairs_found: int
    idle_kept: int
    harmful_named: int
    wrongly_named: int
    calls: int
    baseline_test_nmse: float
    test_nmse: float
    best_test_nmse: float


def measure(full: bool) -> dict[str, Any]:
    """Both on every seed, and ours with less to spend."""
    seeds = SEEDS_FULL if full else SEEDS
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=_log_prints) as processes:
        started = [(processes.submit(search, seed), processes.submit(select_greedily, seed)) for seed in seeds]
        small = {budget: [processes.submit(search, seed, budget) for seed in SMALL_SEEDS] for budget in SMALL_BUDGETS}
        pairs = [(ours.result(), greedy.result()) for ours, greedy in started]
        small_runs = {budget: [run.result() for run in runs] for budget, runs in small.items()}
    runs, greedy = [ours for ours, _ in pairs], [other for _, other in pairs]
    return {
        "found": statistics.median(run.found for run in runs),
        "harmful_kept": statistics.median(run.harmful_kept for run in runs),
        "pairs_found": statistics.median(run.pairs_found for run in runs),
        "calls_ratio_vs_greedy": statistics.median(ours.calls / other.calls for ours, other in pairs),
        "detail": {
            "most_harmful_kept": max(run.harmful_kept for run in runs),
            "test_nmse_mean": statistics.fmean(run.test_nmse for run in runs),
            "greedy_test_nmse_mean": statistics.fmean(other.test_nmse for other in greedy),
            "runs": [asdict(run) for run in runs],
            "greedy": [other._asdict() for other in greedy],
            "small_budgets": {budget: summarize(found) for budget, found in small_runs.items()},
            "parameters": {"max_bullets": MAX_BULLETS, "seeds": len(runs), **SIZES},
        },
    }


def search(seed: int, max_judge_calls: int = BUDGET) -> Run:
    """One search of ours."""
    config = config_of(seed)
    landscape = Landscape(config)
    budget = Budget(max_judge_calls)
    study = Study(
        judge=JUDGE,
        data=landscape.data,
        judging=Budgeted(InProcessPool(LandscapeEngine(config, rules_of=bullets_in)), budget),
        seed=seed,
        reflect=lambda prompt: "",
        bullets=library(seed),
    )
    result = BulletOptimizer(max_bullets=MAX_BULLETS).run(study)
    assert result.selection is not None, "a search of bullets says what it selected"
    kept = names_of(result.winner.bullets)
    harmful = names_of(tuple(bullet.text for bullet in result.selection.harmful))
    run = Run(
        seed=seed,
        found=len(kept & HELPFUL),
        harmful_kept=len(kept & HURTING),
        pairs_found=sum(pair <= kept for pair in PAIRS),
        idle_kept=len(kept - HELPFUL - HURTING - frozenset().union(*PAIRS)),
        harmful_named=len(harmful & HURTING),
        wrongly_named=len(harmful - HURTING),
        calls=budget.used,
        baseline_test_nmse=landscape.nmse(frozenset(), landscape.test),
        test_nmse=landscape.nmse(kept, landscape.test),
        best_test_nmse=landscape.nmse(HELPFUL.union(*PAIRS), landscape.test),
    )
    say(
        f"seed {seed}, at most {max_judge_calls} calls: {run.calls} calls, {run.found} of 8, {run.pairs_found} of 2 "
        f"pairs, {run.harmful_kept} harmful, test NMSE {run.baseline_test_nmse:.1f} -> {run.test_nmse:.1f}"
    )
    return run


def select_greedily(seed: int) -> Greedy:
    """Plain greedy forward selection; it asks the same judge, without prompts in between."""
    landscape = Landscape(config_of(seed))
    val = landscape.data.val
    left = [name for bullet in library(seed) for name in names_of((bullet.text,))]
    chosen: RuleSet = frozenset()
    best, calls = landscape.nmse(chosen, val), len(val)
    while left:
        errors = [landscape.nmse(chosen | {name}, val) for name in left]
        calls += len(errors) * len(val)
        if min(errors) >= best:
            break
        best = min(errors)
        chosen |= {left.pop(errors.index(best))}
    say(f"seed {seed}, greedy: {calls} calls, {len(chosen)} bullets")
    return Greedy(
        calls=calls,
        kept=len(chosen),
        found=len(chosen & HELPFUL),
        harmful_kept=len(chosen & HURTING),
        pairs_found=sum(pair <= chosen for pair in PAIRS),
        test_nmse=landscape.nmse(chosen, landscape.test),
    )


def summarize(runs: Sequence[Run]) -> dict[str, float]:
    """Means over the seeds."""
    names = ("found", "harmful_kept", "pairs_found", "idle_kept", "calls", "baseline_test_nmse", "test_nmse")
    return {name: statistics.fmean(getattr(run, name) for run in runs) for name in names}


def _log_prints() -> None:
    os.dup2(2, 1)


if __name__ == "__main__":
    from benchmarks import bullets  # by its name: other processes know no `__main__` of ours

    run_benchmark("choosing bullets against greedy selection", bullets.measure)
