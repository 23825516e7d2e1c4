"""Our GEPA as an arm of the benchmark: on the landscape, logged by its seams, and once on real vLLM."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks.arms import ArmResult, Job, Progress, replay
from benchmarks.landscape import JUDGE, SCALE, Landscape, LandscapeConfig, rules_in
from benchmarks.landscape_engines import (
    NO_LATENCY,
    LandscapeEngine,
    LandscapeJudge,
    LatencyConfig,
    Reflecting,
    ReflectionModel,
)
from benchmarks.running import ROOT
from benchmarks.stock_gepa import BUDGET, SLOTS
from judge_serve.judging import Example, Item, Judge, Judgment, judge_pair
from judge_serve.judging.judge import build_request
from optimize_workers.budget import Budget
from optimize_workers.evaluate import EvaluationPlane, JudgeCall, OnDone, OnWait, Pool
from optimize_workers.metrics import example_score
from optimize_workers.optimizers.gepa import AHEAD, GepaOptimizer
from optimize_workers.study import Study

LATENCY = LatencyConfig()
REAL_BUDGET = 200


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
