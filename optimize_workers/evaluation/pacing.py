"""Pacing: how many calls a worker has under way at an endpoint, found out by how it answers.

More as long as that brings more replies a second, fewer where it refuses for its load or does not answer in time: the
additive increase and multiplicative decrease by which TCP shares a line. An endpoint that is slow and answers is left
as busy as it is; only refusals and time-outs take calls away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from judge_serve.judging.engine import Engine, EngineReply, EngineRequest
from judge_serve.judging.errors import EngineTimeoutError, OverloadedError, RateLimitedError

FIRST_LIMIT = 4  # of one worker; doubled by every round until that brings nothing more
MAX_HOLD_S = 20.0  # a longer wait is the call's own matter, see `RetryPolicy.longest_wait_s`
_FIRST_CUT, _CUT = 0.5, 0.7  # what is left of the limit: doubling overshoots further
_STEP = 1.25  # limits are compared when they differ by this much, which noise does not hide
_GAIN = 1.05  # replies per second that a step must bring, of `_STEP` that it could
_PATIENCE, _MAX_PATIENCE = 8, 64  # rounds before a limit is tried again that was refused, or brought nothing


class Reference(NamedTuple):
    """Replies per second under a limit."""

    limit: float
    rate: float


class Pace:
    """The limit of calls under way at once, between `least` and `most`; used from one event loop."""

    def __init__(self, least: int, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._least, self._most = float(min(least, most)), float(most)
        self._limit = min(max(float(FIRST_LIMIT), self._least), self._most)
        self._clock = clock
        self._changed = asyncio.Event()
        self._in_flight = 0
        self._hold_until = 0.0
        self._is_doubling = True
        self._last_cut = float("-inf")
        self._refused_at: float | None = None  # the limit that was refused last
        self._patience, self._rounds_to_wait = _PATIENCE, 0
        self._reference: Reference | None = None
        self._replies, self._is_full, self._round_began = 0, False, clock()

    @property
    def limit(self) -> int:
        """Calls that may be under way now."""
        return int(self._limit)

    async def enter(self) -> float:
        """Wait for room, and for the end of a wait that the endpoint asked for; what is entered has to be left.

        Returns: when the call is sent, by the clock.
        """
        while True:
            held_s = self._hold_until - self._clock()
            if held_s > 0.0:
                await asyncio.sleep(held_s)
            elif self._in_flight < self.limit:
                break
            else:
                self._changed.clear()
                await self._changed.wait()
        self._in_flight += 1
        self._is_full = self._is_full or self._in_flight >= self.limit
        return self._clock()

    def leave(self) -> None:
        """A call is no longer under way, however it ended."""
        self._in_flight -= 1
        self._changed.set()

    def answered(self) -> None:
        """A call brought a reply."""
        self._replies += 1
        if self._replies >= self.limit:
            self._end_round()

    def refused(self, sent_at: float, asked_s: float = 0.0) -> None:
        """A call was refused for the load of the endpoint, or not answered in time.

        Args:
            sent_at: what `enter` gave.
            asked_s: how long the endpoint asked to wait, which all calls do.
        """
        now = self._clock()
        self._hold_until = max(self._hold_until, now + min(asked_s, MAX_HOLD_S))
        if sent_at < self._last_cut:
            return  # sent under the limit before: the cut was made for it already
        self._refused_at = self._limit
        self._patience = min(2 * self._patience, _MAX_PATIENCE)
        self._rounds_to_wait = self._patience
        self._limit = max(self._least, self._limit * (_FIRST_CUT if self._is_doubling else _CUT))
        self._last_cut = now
        self._is_doubling, self._reference = False, None
        self._begin_round()

    def _begin_round(self) -> None:
        self._replies, self._is_full = 0, self._in_flight >= self.limit
        self._round_began = self._clock()

    def _end_round(self) -> None:
        """As many replies as calls may be under way have come: more may be now, unless nobody asks for more."""
        elapsed_s = self._clock() - self._round_began
        rate, is_full = self._replies / max(elapsed_s, 1e-6), self._is_full
        self._begin_round()
        if not is_full:
            return
        self._rounds_to_wait = max(0, self._rounds_to_wait - 1)
        before = self._reference
        if before is None or self._limit < before.limit:
            self._reference = Reference(self._limit, rate)
        elif self._limit >= _STEP * before.limit:
            if rate < _GAIN * before.rate:
                self._limit, self._is_doubling = before.limit, False
                self._rounds_to_wait = _PATIENCE
                return
            self._reference = Reference(self._limit, rate)
        self._grow()

    def _grow(self) -> None:
        wanted = min(self._most, 2 * self._limit if self._is_doubling else self._limit + 1.0)
        if self._rounds_to_wait and (self._refused_at is None or wanted > self._refused_at - 1.0):
            return
        if self._refused_at is not None and self._limit >= self._refused_at:  # a round of it was answered
            self._refused_at, self._patience = None, _PATIENCE
        self._limit = max(self._limit, wanted)
        self._changed.set()


class PacedEngine:
    """An engine whose calls keep to a pace, retries included."""

    def __init__(self, engine: Engine, pace: Pace) -> None:
        self._engine = engine
        self._pace = pace

    @property
    def model(self) -> str:
        """See `Engine.model`."""
        return self._engine.model

    @property
    def learned(self) -> dict[str, Any]:
        """What the engine found out of its endpoint, and the pace that it bears."""
        return {**getattr(self._engine, "learned", {}), "in_flight": self._pace.limit}

    async def complete(self, request: EngineRequest) -> EngineReply:
        """See `Engine.complete`."""
        sent_at = await self._pace.enter()
        try:
            reply = await self._engine.complete(request)
        except (RateLimitedError, OverloadedError, EngineTimeoutError) as error:
            self._pace.refused(sent_at, error.retry_after_s)
            raise
        else:
            self._pace.answered()
            return reply
        finally:
            self._pace.leave()

    async def close(self) -> None:
        """See `Engine.close`."""
        await self._engine.close()
