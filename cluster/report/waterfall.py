"""The waterfall: NMSE falling from the baseline to the winner, a bar for each step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

WHOLE, FALL, RISE = "whole", "fall", "rise"


class Bar(NamedTuple):
    """A bar in NMSE points: from 0 for the baseline and the winner, otherwise between before and after a step."""

    name: str
    low: float
    high: float
    what: str
    delta: float


def waterfall_of(nmses: Sequence[float]) -> list[Bar]:
    """Bars of the NMSE after each step, the baseline first, then a whole one for the winner.

    Raises: ValueError if there is none.
    """
    if not nmses:
        raise ValueError("no step was measured; there is nothing to draw")
    steps = [
        Bar(str(number), min(before, after), max(before, after), RISE if after > before else FALL, after - before)
        for number, (before, after) in enumerate(pairwise(nmses), 1)
    ]
    return [Bar("baseline", 0.0, nmses[0], WHOLE, 0.0), *steps, Bar("winner", 0.0, nmses[-1], WHOLE, 0.0)]
