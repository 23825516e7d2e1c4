"""The waterfall as a picture: NMSE falling from the baseline to the winner, a bar for each step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

WIDTH, HEIGHT = 640, 220  # of the drawing, in SVG units
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 620, 15, 185  # of what is between the axes
_GAP = 0.25  # share of a bar's room that stays empty
_MIN_HEIGHT = 1.0  # so that a step that changed nothing is seen


class Bar(NamedTuple):
    """A bar in SVG units: whole for the baseline and the winner, otherwise from the NMSE before to the one after."""

    x: float
    y: float
    width: float
    height: float
    is_whole: bool
    is_rise: bool


class Waterfall(NamedTuple):
    """Bars in the order of the steps, then the winner's whole NMSE; and the end of the axis, which begins at 0."""

    bars: tuple[Bar, ...]
    top_nmse: float


def waterfall_of(nmses: Sequence[float]) -> Waterfall:
    """The picture of the NMSE after each step, the baseline first.

    Raises: ValueError if there is none.
    """
    if not nmses:
        raise ValueError("no step was measured; there is nothing to draw")
    top = max(*nmses, 1.0)
    spans = [(0.0, nmses[0]), *pairwise(nmses), (0.0, nmses[-1])]
    room = (_RIGHT - _LEFT) / len(spans)

    def bar(number: int, before: float, after: float) -> Bar:
        upper, lower = (_BOTTOM - (_BOTTOM - _TOP) * nmse / top for nmse in (max(before, after), min(before, after)))
        is_whole = number in (0, len(spans) - 1)
        return Bar(
            x=round(_LEFT + room * (number + _GAP / 2), 1),
            y=round(upper, 1),
            width=round(room * (1 - _GAP), 1),
            height=round(max(lower - upper, _MIN_HEIGHT), 1),
            is_whole=is_whole,
            is_rise=not is_whole and after > before,
        )

    return Waterfall(tuple(bar(number, *span) for number, span in enumerate(spans)), top)
