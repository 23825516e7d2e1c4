"""Our MIPROv2 as an arm of the benchmark: on the landscape, logged by its seams, and once on real vLLM."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.arms import ArmResult, Job, replay
from benchmarks.landscape import JUDGE, Landscape, LandscapeConfig, key_of, rules_in
from benchmarks.landscape_demonstrations import Shown
from benchmarks.landscape_engines import NO_LATENCY, LandscapeEngine, LatencyConfig, Reflecting
from benchmarks.landscape_proposer import ProposingModel
from benchmarks.real_search import search_on_vllm
from benchmarks.recording import InProcessPool, recorded_study
from benchmarks.reported_validity import AuditedStudy, SentReplies, StageValidity
from benchmarks.stock_mipro import MAX_DEMONSTRATIONS, MINIBATCH, NUM_INSTRUCTIONS, NUM_SETS, NUM_TRIALS, SLOTS, STAGES
from optimize_workers.evaluation.budget import Budget
from optimize_workers.evaluation.budgeted import Budgeted
from optimize_workers.optimizers.mipro.search import MiproOptimizer, MiproPlan
from optimize_workers.optimizers.mipro.trials import AHEAD

PLAN = MiproPlan(
    num_validation=100,
    minibatch=MINIBATCH,
    num_trials=NUM_TRIALS,
    num_sets=NUM_SETS,
    num_instructions=NUM_INSTRUCTIONS,
    max_demonstrations=MAX_DEMONSTRATIONS,
)
REAL_BUDGET = 300


def optimize_on_vllm() -> dict[str, Any]:
    """Our search on real vLLM in `generate` mode: what it repaired, and which ratings the winner gives."""
    search = search_on_vllm("mipro", "generate", REAL_BUDGET)
    result = search.result
    kept = ("calls", "reflections", "calls_saved", "refusals", "baseline", "winner", "comparison", "gate")
    return {
        "wall_s": search.wall_s,
        "command": search.command,
        "invalid": [result[which]["invalid"] for which in ("baseline", "winner")],
        "nmse": [result[which]["nmse"] for which in ("baseline", "winner")],
        "winner_ratings": result["winner"]["rating_counts"],
        "largest_rating_share": result["winner"]["largest_rating_share"],
        **{key: result[key] for key in kept},
    }


def run_ours(config: LandscapeConfig, with_latency: bool, plan: MiproPlan = PLAN, ahead: int = AHEAD) -> ArmResult:
    """One search of our MIPROv2; with latency on Ray, which must be running, without in this process."""
    latency = LatencyConfig() if with_latency else NO_LATENCY
    landscape = Landscape(config)
    ends: dict[str, float] = {}
    reflecting = Reflecting(ProposingModel(config.seed, latency))
    with recorded_study(config, latency, SLOTS, plan.worst_case, reflecting) as (study, pool, log):
        study.on_stage = lambda stage: ends.update({stage: time.perf_counter()})
        started = time.perf_counter()
        found = MiproOptimizer(plan, ahead).run(study)
        wall_s = time.perf_counter() - started
    rules = rules_in(found.winner.instruction)
    shown = [Shown(key_of(one.document), one.rating) for one in found.winner.demonstrations]
    jobs = log.jobs() if with_latency else []
    return ArmResult(
        arm="ours",
        seed=config.seed,
        judge_calls=log.judge_calls,
        reflections=log.reflections,
        wall_s=wall_s,
        ceiling_s=replay(jobs, SLOTS),
        progress=tuple(pool.progress),
        baseline_val_nmse=landscape.nmse(frozenset(), landscape.data.val),
        baseline_test_nmse=landscape.nmse(frozenset(), landscape.test),
        test_nmse=landscape.nmse(rules, landscape.test, shown),
        rules=tuple(sorted(rules)),
        library_calls=study.budget.used,
        demonstrations=len(shown),
        stages_s=stages_s(started, ends),
        stage_ceilings_s=stage_ceilings_s(jobs, ends),
    )


def audit(config: LandscapeConfig, plan: MiproPlan = PLAN) -> dict[str, StageValidity]:
    """Validity that a search reports at each stage, and that of the replies it was really sent; in this process."""
    data = Landscape(config).data
    replies = SentReplies(LandscapeEngine(config))
    study = AuditedStudy(
        judge=JUDGE,
        data=data,
        judging=Budgeted(InProcessPool(replies), Budget(plan.worst_case)),
        seed=config.seed,
        reflect=Reflecting(ProposingModel(config.seed)),
        replies=replies,
    )
    MiproOptimizer(plan).run(study)
    return study.validity


def stages_s(started: float, ends: dict[str, float]) -> dict[str, float]:
    """Demonstrations and instructions are made at once, from the start; trials begin when both are there."""
    demonstrations, instructions, trials = STAGES
    begin = {demonstrations: started, instructions: started, trials: ends[instructions]}
    return {stage: ends[stage] - begin[stage] for stage in STAGES}


def stage_ceilings_s(jobs: list[Job], ends: dict[str, float]) -> dict[str, float]:
    """Ceiling of each stage on its own; the baseline is judged while demonstrations are made."""
    demonstrations, instructions, trials = STAGES
    begun = ends[instructions]
    judging = [job for job in jobs if job.in_slots]
    parts = {
        demonstrations: [job for job in judging if job.start < begun],
        instructions: [job for job in jobs if not job.in_slots],
        trials: [job for job in judging if job.start >= begun],
    }
    return {stage: replay(parts[stage], SLOTS) for stage in STAGES}
