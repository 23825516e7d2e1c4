"""Waves: the judge calls of one `judge()`, what went wrong with single ones, and who waits for them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import NamedTuple

from judge_serve.judging.judge_call import JudgeCall
from judge_serve.judging.judgment import Judgment

MAX_UNSUSPICIOUS = 2  # failures of a call in outages until nothing is concluded from another one


class CallId(NamedTuple):
    """A judge call of a pool: number of its wave and place in it."""

    wave: int
    place: int


class Arrived(NamedTuple):
    """Judgments that came in, by place; or the error that ends the wave."""

    places: list[int]
    judgments: list[Judgment]
    error: Exception | None = None


@dataclass
class Trouble:
    """What went wrong with one call so far.

    Attributes:
        answered_before: answers of the pool when it was first sent, or last failed.
        tries: how often it failed, in outages too.
        failures: how often it failed while others were answered, 429 left out.
        rate_limits: how often it alone was put off by a rate limit, with nothing else to ask.
        spent_s: how long workers were at it in these failures.
        deaths: workers that died with it, one after the other, while nothing of its wave was judged.
        judged_then: judgments of its wave at the last death.
        answered_at_first_death: answers of the pool at the first of these deaths.
    """

    answered_before: int
    tries: int = 0
    failures: int = 0
    rate_limits: int = 0
    spent_s: float = 0.0
    deaths: int = 0
    judged_then: int = -1
    answered_at_first_death: int = 0

    @property
    def is_suspicious(self) -> bool:
        """Whether its next failure may be its own fault as well as the engine's."""
        return self.failures > 0 or self.deaths > 0 or self.tries >= MAX_UNSUSPICIOUS


class Wave:
    """Judge calls that one caller waits for, those of one judge next to each other (the engine's prefix cache).

    Attributes:
        waiting: places of calls that nobody carries out yet; those that failed are last.
        alone: the same of calls that workers died with again and again; they go one at a time, after all others.
        troubles: by place.
    """

    def __init__(self, number: int, calls: Sequence[JudgeCall]) -> None:
        self.number = number
        self.calls = calls
        self.arrivals: SimpleQueue[Arrived] = SimpleQueue()  # read by the caller's thread
        by_judge: dict[int, list[int]] = {}
        for place, call in enumerate(calls):
            by_judge.setdefault(id(call.judge), []).append(place)
        self.waiting = deque(place for places in by_judge.values() for place in places)
        self.alone: deque[int] = deque()
        self.troubles: dict[int, Trouble] = {}
        self.num_judged = 0
        self.num_under_way = 0

    @property
    def num_waiting(self) -> int:
        """Judge calls that nobody carries out yet."""
        return len(self.waiting) + len(self.alone)

    @property
    def may_go_on(self) -> bool:
        """Whether a call may be taken."""
        return bool(self.waiting) or (bool(self.alone) and not self.num_under_way)

    @property
    def has_probe(self) -> bool:
        """Whether a call waits whose failure would be that of the engine."""
        if not self.waiting:
            return False
        trouble = self.troubles.get(self.waiting[0])
        return trouble is None or not trouble.is_suspicious

    def take(self, most: int) -> list[CallId]:
        """The next calls, at most so many; one that may kill its worker goes alone."""
        if self.waiting:
            places = [self.waiting.popleft() for _ in range(min(most, len(self.waiting)))]
        else:
            places = [self.alone.popleft()] if self.may_go_on else []
        self.num_under_way += len(places)
        return [CallId(self.number, place) for place in places]

    def fail(self, error: Exception) -> None:
        """End the wave with an error."""
        self.waiting.clear()
        self.alone.clear()
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
        """A new wave; their numbers begin with 1.

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
