"""Our GEPA as an arm of the benchmark: on the landscape, logged by its seams, and once on real vLLM."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.arms import ArmResult, replay
from benchmarks.landscape import Landscape, LandscapeConfig, rules_in
from benchmarks.landscape_engines import (
    NO_LATENCY,
    LatencyConfig,
    Reflecting,
    ReflectionModel,
)
from benchmarks.real_search import search_on_vllm
from benchmarks.recording import recorded_study
from benchmarks.stock_gepa import BUDGET, SLOTS
from optimize_workers.optimizers.gepa.search import AHEAD, GepaOptimizer

LATENCY = LatencyConfig()
REAL_BUDGET = 200


def optimize_on_vllm() -> dict[str, Any]:
    """Our search on real vLLM in `guided` mode: what it found, what it cost and how long it took."""
    search = search_on_vllm("gepa", "guided", REAL_BUDGET)
    kept = ("calls", "reflections", "calls_saved", "refusals", "baseline", "winner", "comparison", "gate")
    return {"wall_s": search.wall_s, "command": search.command, **{key: search.result[key] for key in kept}}


def run_ours(seed: int, with_latency: bool, max_judge_calls: int = BUDGET, ahead: int = AHEAD) -> ArmResult:
    """One search of our GEPA; with latency on Ray, which must be running, without in this process."""
    config, latency = LandscapeConfig(seed=seed), LATENCY if with_latency else NO_LATENCY
    landscape = Landscape(config)
    reflecting = Reflecting(ReflectionModel(seed, latency))
    with recorded_study(config, latency, SLOTS, max_judge_calls, reflecting) as (study, pool, log):
        started = time.perf_counter()
        found = GepaOptimizer(ahead).run(study)
        wall_s = time.perf_counter() - started
    rules = rules_in(found.winner.instruction)
    return ArmResult(
        arm="ours",
        seed=seed,
        judge_calls=log.judge_calls,
        reflections=log.reflections,
        wall_s=wall_s,
        ceiling_s=replay(log.jobs(), SLOTS) if with_latency else 0.0,
        progress=tuple(pool.progress),
        baseline_val_nmse=landscape.nmse(frozenset(), landscape.data.val),
        baseline_test_nmse=landscape.nmse(frozenset(), landscape.test),
        test_nmse=landscape.nmse(rules, landscape.test),
        rules=tuple(sorted(rules)),
        library_calls=study.budget.used,
    )
