"""Our optimizers as arms: their pools and reflection models, logged by the seams that a study has."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from benchmarks.arms import Job, Progress
from benchmarks.landscape import JUDGE, SCALE, Landscape, LandscapeConfig
from benchmarks.landscape_engines import LandscapeEngine, LandscapeJudge, LatencyConfig, Reflecting
from judge_serve.judging import Engine, Example, Judgment, judge_pair
from judge_serve.judging.judge_call import JudgeCall, build_request, calls_of
from optimize_workers.evaluation.budget import Budget
from optimize_workers.evaluation.budgeted import Budgeted
from optimize_workers.evaluation.layer import Layer, OnDone
from optimize_workers.statistics.metrics import example_score
from optimize_workers.study import Study


@contextlib.contextmanager
def worker_pool(config: LandscapeConfig, latency: LatencyConfig, slots: int) -> Iterator[Layer]:
    """A pool of Ray workers that have judged something; Ray must be running."""
    from optimize_workers.evaluation.workers import WorkerPool

    workers = WorkerPool(partial(LandscapeEngine, config, latency, slots), max_calls_in_flight=slots)
    workers.judge([call._replace(occurrence=10**6) for call in calls_of(JUDGE, Landscape(config).data.train)])
    try:
        yield workers
    finally:
        workers.close()


class Recorded(NamedTuple):
    """A study on a landscape, and what is noted of it."""

    study: Study
    pool: RecordingPool
    log: JobLog


@contextlib.contextmanager
def recorded_study(
    config: LandscapeConfig, latency: LatencyConfig, slots: int, max_judge_calls: int, reflecting: Reflecting
) -> Iterator[Recorded]:
    """A study that has not begun: with latency on Ray, which must be running, without in this process."""
    landscape = Landscape(config)
    log = JobLog(LandscapeJudge(landscape, latency))
    budget = Budget(max_judge_calls)
    in_process = contextlib.nullcontext(InProcessPool(LandscapeEngine(config)))
    with worker_pool(config, latency, slots) if latency.judge_median_s else in_process as judging:
        pool = RecordingPool(judging, log, landscape.data.val)
        reflect = RecordingReflection(reflecting, log)
        yield Recorded(Study(JUDGE, landscape.data, Budgeted(pool, budget), config.seed, reflect), pool, log)


class JobLog:
    """What our optimizer asked, and when."""

    def __init__(self, judge: LandscapeJudge) -> None:
        self._judge = judge
        self._lock = threading.Lock()
        self._waves: list[tuple[float, float, Sequence[JudgeCall]]] = []
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

    def judged(self, start: float, calls: Sequence[JudgeCall]) -> None:
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
            Job(start, end, [self._judge.latency_s(build_request(call)) for call in calls], in_slots=True)
            for start, end, calls in self._waves
        ]
        return [*waves, *self._reflections]


class RecordingPool:
    """A pool that logs its waves, and when a program has been judged on all validation examples."""

    def __init__(self, pool: Layer, log: JobLog, validation: Sequence[Example]) -> None:
        self._pool = pool
        self._log = log
        self._gold = {example.item: example for example in validation}
        self._scores: defaultdict[str, list[float]] = defaultdict(list)
        self._lock = threading.Lock()
        self.progress: list[Progress] = []

    def judge(self, calls: Sequence[JudgeCall], on_done: OnDone | None = None) -> list[Judgment]:
        """See `Layer.judge`."""
        start = time.perf_counter()
        self._log.sent(len(calls))
        judgments = self._pool.judge(calls, on_done)
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

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def judge(self, calls: Sequence[JudgeCall], on_done: OnDone | None = None) -> list[Judgment]:
        """See `Layer.judge`."""
        judgments = asyncio.run(self._judge_all(calls))
        if on_done:
            on_done(range(len(calls)), judgments)
        return judgments

    async def _judge_all(self, calls: Sequence[JudgeCall]) -> list[Judgment]:
        """One after the other: nothing is won by more at once."""
        return [await judge_pair(call, self._engine) for call in calls]


class RecordingReflection:
    """The reflection model as a study calls it, logged."""

    def __init__(self, reflecting: Reflecting, log: JobLog) -> None:
        self._reflecting = reflecting
        self._log = log

    def __call__(self, prompt: str) -> str:
        """The answer, after its time."""
        start = time.perf_counter()
        answer = self._reflecting.ask(prompt)
        self._log.reflected(start, answer.latency_s)
        return answer.text
