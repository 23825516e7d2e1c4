"""Busy slots over time: the integral of how many were busy, per second of the epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple


class BusySecond(NamedTuple):
    """One second of the epoch and the mean number of slots busy in it."""

    second: int
    busy_slots: float


class SlotMeter:
    """Counts busy slots and integrates the count over time.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._busy = 0
        self._measured_until = self._first = clock()
        self._slot_seconds: dict[int, float] = {}

    @property
    def busy(self) -> int:
        """Slots busy now."""
        return self._busy

    def change(self, slots: int) -> None:
        """Count slots taken (positive) or given back (negative)."""
        self._measure()
        self._busy += slots

    def busy_slot_s(self) -> float:
        """Slot-seconds busy so far."""
        self._measure()
        return sum(self._slot_seconds.copy().values())

    def per_second(self) -> list[BusySecond]:
        """Mean busy slots of every whole second so far, oldest first; the second that runs is left out."""
        self._measure()
        slot_seconds = self._slot_seconds.copy()
        seconds = range(math.floor(self._first), math.floor(self._measured_until))
        return [BusySecond(second, slot_seconds.get(second, 0.0)) for second in seconds]

    def _measure(self) -> None:
        now = self._clock()
        start, self._measured_until = self._measured_until, now
        if not self._busy:
            return
        while start < now:  # also false when the wall clock was set back
            end = min(math.floor(start) + 1.0, now)
            second = math.floor(start)
            self._slot_seconds[second] = self._slot_seconds.get(second, 0.0) + self._busy * (end - start)
            start = end
