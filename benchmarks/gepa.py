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

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from benchmarks.arms import ArmResult, Job, Progress, replay
from benchmarks.landscape import (
    DIFFICULTY,
    EVERY_HELPFUL,
    FRESH_NOISE,
    HARM,
    JUDGE,
    OWN_NOISE,
    SCALE,
    Landscape,
    LandscapeConfig,
    rules_in,
)
from benchmarks.landscape_engines import (
    FITTING,
    IDLE,
    NO_LATENCY,
    LandscapeEngine,
    LandscapeJudge,
    LatencyConfig,
    Reflecting,
    ReflectionModel,
)
from benchmarks.landscape_texts import FAILURES, RULES
from benchmarks.running import ROOT, in_own_process, run_benchmark, say, start_ray
from benchmarks.stock_gepa import BUDGET, CHILDREN, MINIBATCH, PARENTS, SLOTS, run_dspy_gepa, run_gepa_pxn
from judge_serve.judging import Example, Item, Judge, Judgment, judge_pair
from judge_serve.judging.judge import build_request
from optimize_workers.budget import Budget
from optimize_workers.evaluate import EvaluationPlane, JudgeCall, OnDone, OnWait, Pool
from optimize_workers.metrics import example_score
from optimize_workers.optimizers.gepa import AHEAD, GepaOptimizer
from optimize_workers.study import Study

QUALITY_SEEDS, QUALITY_SEEDS_FULL = range(24), range(100)
SMALL_BUDGETS, SMALL_SEEDS = (300, 600), range(12)
REAL_BUDGET = 200
TIME_SEEDS, TIME_SEEDS_FULL = range(2), range(6)
QUALITY_PROCESSES = 2  # only where nothing is timed
NONINFERIORITY_MARGIN = 0.05
TARGET_SHARE = 0.8  # of stock's median gain
NUM_RESAMPLES = 10_000
LATENCY = LatencyConfig()


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
        "speedup_vs_dspy_gepa": _mean_ratio(walls["dspy_gepa"], walls["ours"]),
        "speedup_vs_gepa_pxn": _mean_ratio(walls["gepa_pxn"], walls["ours"]),
        "nmse_noninferior": int(against_dspy["nmse_ratio_ci95"][1] <= NONINFERIORITY_MARGIN),
        "nmse_ratio_vs_dspy_gepa": against_dspy["nmse_ratio"],
        "nmse_ratio_ci95": against_dspy["nmse_ratio_ci95"],
        "calls_to_target_ratio": against_dspy["calls_to_target_ratio"],
        "detail": {
            "time": {arm: summarize_time(results) for arm, results in times.items()},
            "speedup_of_ceilings": {
                arm: _mean_ratio(_ceilings(times[arm]), _ceilings(times["ours"])) for arm in ("dspy_gepa", "gepa_pxn")
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
    return {"results": [_said(run_dspy_gepa(seed, LATENCY)) for seed in _time_seeds(full)]}


def time_gepa_pxn(full: bool) -> dict[str, Any]:
    """Stock `gepa.optimize` with latency."""
    return {"results": [_said(run_gepa_pxn(seed, LATENCY)) for seed in _time_seeds(full)]}


def time_ours(full: bool) -> dict[str, Any]:
    """Ours with latency, on local Ray workers."""
    start_ray()
    return {"results": [_said(run_ours(seed, with_latency=True)) for seed in _time_seeds(full)]}


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
    ratios = _nmse_ratios(results["ours"], results["dspy_gepa"])
    return {
        "test_nmse": {arm: statistics.fmean(run.test_nmse for run in runs) for arm, runs in results.items()},
        "judge_calls": {arm: statistics.fmean(run.judge_calls for run in runs) for arm, runs in results.items()},
        "nmse_ratio": statistics.fmean(ratios),
        "nmse_ratio_ci95": _interval(np.array(ratios)[_resamples(len(ratios))].mean(axis=1)),
    }


def run_arms(arms: Mapping[str, Callable[[int], ArmResult]], seeds: Sequence[int]) -> dict[str, list[ArmResult]]:
    """Every arm on every seed, where nothing is timed."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(QUALITY_PROCESSES, mp_context=context, initializer=_log_prints) as processes:
        runs = {arm: [processes.submit(run, seed) for seed in seeds] for arm, run in arms.items()}
        return {arm: [_said(run.result()) for run in started] for arm, started in runs.items()}


def optimize_on_vllm() -> dict[str, Any]:
    """Our search from the command line: vLLM with the embedded model judges and reflects, in `guided` mode."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--optimizer", "gepa", "--mode", "guided", "--budget", str(REAL_BUDGET), "--json"]
        command = ["-m", "cluster", "optimize", "examples/workplace.jsonl", *options]
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *command, "--out", f"{folder}/run"], stdout=subprocess.PIPE, check=True, cwd=ROOT
        )
        wall_s = time.perf_counter() - started
    result = json.loads(done.stdout)
    kept = ("calls", "reflections", "calls_saved", "refusals", "baseline", "winner", "comparison", "gate")
    return {"wall_s": wall_s, "command": command, **{key: result[key] for key in kept}}


def run_ours(seed: int, with_latency: bool, max_judge_calls: int = BUDGET, ahead: int = AHEAD) -> ArmResult:
    """One search of our GEPA; with latency on Ray, which must be running, without in this process."""
    from optimize_workers.workers import WorkerPool

    config, latency = LandscapeConfig(seed=seed), LATENCY if with_latency else NO_LATENCY
    landscape = Landscape(config)
    workers: WorkerPool | None = None
    if with_latency:
        workers = WorkerPool(partial(LandscapeEngine, config, latency, SLOTS), max_calls_in_flight=SLOTS)
        warm_up = [JudgeCall(JUDGE.program, example, occurrence=10**6) for example in landscape.data.train]
        EvaluationPlane(JUDGE, workers).evaluate(warm_up)
    log = _JobLog(LandscapeJudge(landscape, latency))
    pool = RecordingPool(workers or InProcessPool(LandscapeEngine(config)), log, landscape.data.val)
    budget = Budget(max_judge_calls)

    study = Study(
        judge=JUDGE,
        data=landscape.data,
        plane=EvaluationPlane(JUDGE, pool, budget),
        budget=budget,
        seed=seed,
        reflect=RecordingReflection(Reflecting(ReflectionModel(seed, latency)), log),
    )
    started = time.perf_counter()
    found = GepaOptimizer(ahead).run(study)
    wall_s = time.perf_counter() - started
    if workers:
        workers.close()
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
        library_calls=budget.used,
    )


class _JobLog:
    """What our optimizer asked, and when."""

    def __init__(self, judge: LandscapeJudge) -> None:
        self._judge = judge
        self._lock = threading.Lock()
        self._waves: list[tuple[float, float, Sequence[tuple[Judge, Item, int]]]] = []
        self._reflections: list[Job] = []
        self.judge_calls = 0

    @property
    def reflections(self) -> int:
        """Prompts answered so far."""
        return len(self._reflections)

    def sent(self, num_calls: int) -> None:
        """Judge calls are on their way."""
        with self._lock:
            self.judge_calls += num_calls

    def judged(self, start: float, calls: Sequence[tuple[Judge, Item, int]]) -> None:
        """A wave came back."""
        with self._lock:
            self._waves.append((start, time.perf_counter(), calls))

    def reflected(self, start: float, latency_s: float) -> None:
        """An answer came back."""
        with self._lock:
            self._reflections.append(Job(start, time.perf_counter(), (latency_s,), in_slots=False))

    def jobs(self) -> list[Job]:
        """All waves and reflections, for `replay`."""
        waves = [
            Job(start, end, [self._judge.latency_s(build_request(*call)) for call in calls], in_slots=True)
            for start, end, calls in self._waves
        ]
        return [*waves, *self._reflections]


class RecordingPool:
    """A pool that logs its waves, and when a program has been judged on all validation examples."""

    def __init__(self, pool: Pool, log: _JobLog, validation: Sequence[Example]) -> None:
        self._pool = pool
        self._log = log
        self._gold = {example.item: example for example in validation}
        self._scores: defaultdict[str, list[float]] = defaultdict(list)
        self._lock = threading.Lock()
        self.progress: list[Progress] = []

    def judge(
        self,
        calls: Sequence[tuple[Judge, Item, int]],
        on_done: OnDone | None = None,
        on_wait: OnWait | None = None,
    ) -> list[Judgment]:
        """See `Pool.judge`."""
        start = time.perf_counter()
        self._log.sent(len(calls))
        judgments = self._pool.judge(calls, on_done, on_wait)
        self._log.judged(start, calls)
        with self._lock:
            for (judge, item, _), judgment in zip(calls, judgments, strict=True):
                if item in self._gold:
                    self._note(judge.program.digest, example_score(judgment, self._gold[item], SCALE))
        return judgments

    def _note(self, program: str, score: float) -> None:
        scores = self._scores[program]
        scores.append(score)
        if len(scores) == len(self._gold):
            self.progress.append(Progress(self._log.judge_calls, 100.0 * (1.0 - statistics.fmean(scores))))


class InProcessPool:
    """A pool that judges in the calling thread, for an engine that never awaits."""

    def __init__(self, engine: LandscapeEngine) -> None:
        self._engine = engine

    def judge(
        self,
        calls: Sequence[tuple[Judge, Item, int]],
        on_done: OnDone | None = None,
        on_wait: OnWait | None = None,
    ) -> list[Judgment]:
        """See `Pool.judge`."""
        judgments = [self._judge(*call) for call in calls]
        if on_done:
            on_done(range(len(calls)), judgments)
        return judgments

    def _judge(self, judge: Judge, item: Item, occurrence: int) -> Judgment:
        coroutine = judge_pair(judge, item, self._engine, occurrence=occurrence)
        try:
            coroutine.send(None)
        except StopIteration as done:
            judgment: Judgment = done.value
            return judgment
        raise AssertionError("the engine waited; this pool needs one without latency")


class RecordingReflection:
    """The reflection model as a study calls it, logged."""

    def __init__(self, reflecting: Reflecting, log: _JobLog) -> None:
        self._reflecting = reflecting
        self._log = log

    def __call__(self, prompt: str) -> str:
        """The answer, after its time."""
        start = time.perf_counter()
        answer = self._reflecting.ask(prompt)
        self._log.reflected(start, answer.latency_s)
        return answer.text


# --- the figures ---


def compare(ours: Sequence[ArmResult], stock: Sequence[ArmResult]) -> dict[str, Any]:
    """Final test NMSE and judge calls to the target, seed by seed."""
    ratios = _nmse_ratios(ours, stock)
    target_gain = TARGET_SHARE * statistics.median(result.gain for result in stock)
    calls = np.array(
        [
            [result.calls_to(result.baseline_val_nmse - target_gain, BUDGET) for result in pair]
            for pair in zip(ours, stock, strict=True)
        ],
        dtype=np.float64,
    )
    means = calls[_resamples(len(calls))].mean(axis=1)
    mean_ours, mean_stock = map(float, calls.mean(axis=0))
    return {
        "nmse_ratio": statistics.fmean(ratios),
        "nmse_ratio_ci95": _interval(np.array(ratios)[_resamples(len(ratios))].mean(axis=1)),
        "nmse_ratios": ratios,
        "target_gain": target_gain,
        "calls_to_target": [mean_ours, mean_stock],
        "calls_to_target_censored": [int((column >= BUDGET).sum()) for column in calls.T],
        "calls_to_target_ratio": mean_ours / mean_stock,
        "calls_to_target_ratio_ci95": _interval(means[:, 0] / means[:, 1]),
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


def _nmse_ratios(ours: Sequence[ArmResult], stock: Sequence[ArmResult]) -> list[float]:
    return [(a.test_nmse - b.test_nmse) / b.test_nmse for a, b in zip(ours, stock, strict=True)]


def _resamples(count: int) -> Any:
    return np.random.default_rng(0).integers(0, count, size=(NUM_RESAMPLES, count))


def _interval(means: Any) -> list[float]:
    low, high = np.quantile(means, [0.025, 0.975])
    return [float(low), float(high)]


def _ceilings(results: Sequence[ArmResult]) -> list[float]:
    return [result.ceiling_s * BUDGET / result.judge_calls for result in results]


def _mean_ratio(stock: Sequence[float], ours: Sequence[float]) -> float:
    return statistics.fmean(a / b for a, b in zip(stock, ours, strict=True))


def _time_seeds(full: bool) -> Sequence[int]:
    return TIME_SEEDS_FULL if full else TIME_SEEDS


def _said(result: ArmResult) -> ArmResult:
    say(
        f"{result.arm} seed {result.seed}: {result.wall_s:.1f} s (ceiling {result.ceiling_s:.1f}), "
        f"{result.judge_calls} calls, test NMSE {result.baseline_test_nmse:.1f} -> {result.test_nmse:.1f}"
    )
    return result


def _log_prints() -> None:
    os.dup2(2, 1)


if __name__ == "__main__":
    from benchmarks import gepa  # by its name: other processes know no `__main__` of ours

    run_benchmark("our GEPA against stock", gepa.measure)
