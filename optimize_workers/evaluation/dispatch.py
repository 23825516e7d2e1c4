"""Dispatch: which judge call goes next, what becomes of failed ones, when to pause and when to give up.

Waves (the judge calls of one `judge()`) take turns, so that several studies share a pool fairly. Holds no Ray and
does no waiting: `workers.WorkerPool` asks it and carries out.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import NamedTuple

from judge_serve.judging.errors import CallFailedError, EngineError, OutageError, TransientError, WorkersFailedError
from judge_serve.judging.judge_call import JudgeCall
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.retrying import RetryPolicy

MAX_FAILURES = 4  # times one call may fail while others are answered
MAX_DEATHS = 3  # times a worker may die with one call while nothing of its wave is judged
LOOK_EVERY_S = 0.5  # how often the state of workers and outages is looked at
WORKER_START_S = 60.0  # how long a dead worker may take to come back, whatever the policy says about outages
FIRST_PROBE_S = 0.5  # pause before the first probe of an outage; each further one doubles it


class CallId(NamedTuple):
    """A judge call of a pool: number of its wave and place in it."""

    wave: int
    place: int


class Arrived(NamedTuple):
    """Judgments that came in, by place; or the error that ends the wave."""

    places: list[int]
    judgments: list[Judgment]
    error: Exception | None = None


class Wave:
    """Judge calls that one caller waits for, those of one judge next to each other (the engine's prefix cache)."""

    def __init__(self, number: int, calls: Sequence[JudgeCall]) -> None:
        self.number = number
        self.calls = calls
        self.arrivals: SimpleQueue[Arrived] = SimpleQueue()  # read by the caller's thread
        by_judge: dict[int, list[int]] = {}
        for place, call in enumerate(calls):
            by_judge.setdefault(id(call.judge), []).append(place)
        self.waiting = deque(place for places in by_judge.values() for place in places)
        self.failures: dict[int, int] = {}
        self.deaths: dict[int, tuple[int, int]] = {}  # place -> deaths in a row, judgments of the wave by then
        self.num_judged = 0

    def fail(self, error: Exception) -> None:
        """End the wave with an error."""
        self.waiting.clear()
        self.arrivals.put(Arrived([], [], error))


class WaitingCallers:
    """The waves that callers wait for, known from before the pool's thread hears of them; used from any thread.

    Once the pool has ended, each of them has failed, and none is taken in.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waves: dict[int, Wave] = {}
        self._num_waves = 0
        self._why_ended: Exception | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing is taken in any more."""
        return self._why_ended is not None

    def enter(self, calls: Sequence[JudgeCall]) -> Wave:
        """A new wave.

        Raises: RuntimeError if the pool has ended.
        """
        with self._lock:
            if self._why_ended is not None:
                raise RuntimeError(f"the pool is closed ({self._why_ended})") from self._why_ended
            self._num_waves += 1
            wave = self._waves[self._num_waves] = Wave(self._num_waves, calls)
        return wave

    def leave(self, wave: Wave) -> None:
        """Nobody waits for a wave any more."""
        with self._lock:
            self._waves.pop(wave.number, None)

    def end(self, why: Exception) -> None:
        """Fail all waves; only the first reason counts."""
        with self._lock:
            if self._why_ended is None:
                self._why_ended = why
            waves = list(self._waves.values())
        for wave in waves:
            wave.arrivals.put(Arrived([], [], self._why_ended))


class Dispatcher:
    """The waves of a pool and the state of its engine; used from one thread."""

    def __init__(self, retry: RetryPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._retry = retry
        self._clock = clock
        self.waves: dict[int, Wave] = {}
        self._turns: deque[Wave] = deque()
        self.num_judged = 0
        self.num_under_way = 0
        self._outage_started: float | None = None  # no answer since
        self._outage_reason = ""
        self._no_worker_since: float | None = None
        self._paused_until = 0.0
        self._probe_s = FIRST_PROBE_S

    @property
    def num_waiting(self) -> int:
        """Judge calls that nobody carries out yet."""
        return sum(len(wave.waiting) for wave in self._turns)

    def open(self, wave: Wave) -> None:
        """Take in a wave."""
        self.waves[wave.number] = wave
        self._turns.append(wave)

    def close(self, wave: Wave) -> None:
        """Forget a wave; what is under way for it is ignored when it comes back."""
        if self.waves.pop(wave.number, None):
            self._turns.remove(wave)

    def take(self, most: int) -> list[CallId]:
        """The next calls, an equal part from every wave; none in a pause, a single probe in an outage."""
        if self._clock() < self._paused_until:
            return []
        if self._outage_started is not None:
            most = min(most, 1 - self.num_under_way)
        taken: list[CallId] = []
        while len(taken) < most:
            hungry = [wave for wave in self._turns if wave.waiting]
            if not hungry:
                break
            part = -(-(most - len(taken)) // len(hungry))
            for wave in hungry[: most - len(taken)]:
                num = min(part, len(wave.waiting), most - len(taken))
                taken += [CallId(wave.number, wave.waiting.popleft()) for _ in range(num)]
                self._turns.remove(wave)  # whose turn is over goes last
                self._turns.append(wave)
        self.num_under_way += len(taken)
        return taken

    def judged(self, ids: Sequence[CallId], judgments: Sequence[Judgment]) -> None:
        """Judgments arrived: the engine works."""
        self.num_under_way -= len(ids)
        self.num_judged += len(ids)
        self._outage_started, self._probe_s = None, FIRST_PROBE_S
        by_wave: dict[int, Arrived] = {}
        for call, judgment in zip(ids, judgments, strict=True):
            arrived = by_wave.setdefault(call.wave, Arrived([], []))
            arrived.places.append(call.place)
            arrived.judgments.append(judgment)
        for number, arrived in by_wave.items():
            if number in self.waves:
                self.waves[number].num_judged += len(arrived.places)
                self.waves[number].arrivals.put(arrived)

    def failed(self, call: CallId, error: Exception, judged_when_sent: int) -> None:
        """A call failed: a transient failure is tried again, unless it is the call's own; any other ends the wave.

        Args:
            call: what failed.
            error: why.
            judged_when_sent: `num_judged` at the time the call was sent.
        """
        self.num_under_way -= 1
        wave = self.waves.get(call.wave)
        if wave is None:
            return
        if not isinstance(error, TransientError):
            wave.fail(error)
            return
        if self.num_judged > judged_when_sent:  # others were answered meanwhile
            wave.failures[call.place] = wave.failures.get(call.place, 0) + 1
            if wave.failures[call.place] > MAX_FAILURES:
                item = wave.calls[call.place].item
                wave.fail(
                    CallFailedError(
                        f"{error}; the judge call for query_id {item.query_id!r}, doc_id {item.doc_id!r} "
                        f"failed {MAX_FAILURES + 1} times while others were answered"
                    )
                )
                return
        wave.waiting.insert(1, call.place)  # not first: a call that always fails must not be every probe
        self._pause(error)

    def lost(self, calls: Sequence[CallId]) -> None:
        """A worker died with these calls; they are sent again, after the others of their wave.

        Calls that kill their workers are thereby left over, and are known by the deaths between which nothing of
        their wave was judged.
        """
        self.num_under_way -= len(calls)
        for call in calls:
            wave = self.waves.get(call.wave)
            if wave is None:
                continue
            num_deaths, judged_then = wave.deaths.get(call.place, (0, 0))
            num_deaths = num_deaths + 1 if judged_then == wave.num_judged else 1
            wave.deaths[call.place] = (num_deaths, wave.num_judged)
            if num_deaths > MAX_DEATHS:
                wave.fail(WorkersFailedError(f"workers died {MAX_DEATHS + 1} times on the same judge calls"))
            else:
                wave.waiting.append(call.place)

    def note_workers(self, are_up: bool) -> None:
        """Whether any worker is running."""
        if are_up:
            self._no_worker_since = None
        elif self._no_worker_since is None:
            self._no_worker_since = self._clock()

    def give_up_if_too_long(self) -> None:
        """End all waves if the outage outlasts the policy, or if no worker comes back."""
        now = self._clock()
        kind: type[EngineError] = OutageError
        reason = ""
        if self._outage_started is not None and now - self._outage_started >= self._retry.max_outage_s:
            reason = f"no answer for {now - self._outage_started:.0f} s: {self._outage_reason}"
        patience_s = max(self._retry.max_outage_s, WORKER_START_S)
        if self._no_worker_since is not None and now - self._no_worker_since >= patience_s:
            kind = WorkersFailedError
            reason = f"no worker is running for {now - self._no_worker_since:.0f} s; see the Ray cluster's state"
        if not reason:
            return
        for wave in self.waves.values():
            wave.fail(kind(reason))
        self._outage_started = self._no_worker_since = None
        self._paused_until, self._probe_s = 0.0, FIRST_PROBE_S

    def wait_s(self) -> float:
        """Seconds until something has to be looked at though nothing happened."""
        left_s = self._paused_until - self._clock()
        return left_s if left_s > 0 else LOOK_EVERY_S

    def status(self) -> str | None:
        """What is waited for in an outage."""
        now = self._clock()
        if self._no_worker_since is not None:
            return f"paused: no worker is running for {now - self._no_worker_since:.0f} s; Ray starts them again"
        if self._outage_started is None:
            return None
        return (
            f"paused: no answer for {now - self._outage_started:.0f} s ({self._outage_reason}); trying again, "
            f"giving up after {self._retry.max_outage_s:.0f} s"
        )

    def _pause(self, error: TransientError) -> None:
        if self._outage_started is None:
            self._outage_started = self._clock()
        self._outage_reason = str(error)
        asked_s = error.retry_after_s
        if self._clock() >= self._paused_until:  # the first of many that fail together doubles the pause, not each
            jittered_s = self._probe_s * random.uniform(0.5, 1.0)
            self._probe_s = min(2 * self._probe_s, max(self._retry.longest_wait_s, FIRST_PROBE_S))
            self._paused_until = self._clock() + max(asked_s, jittered_s)
        else:
            self._paused_until = max(self._paused_until, self._clock() + asked_s)
