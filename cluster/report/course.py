"""The course of a search: NMSE on validation over judge calls, as figures and as a line to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from optimize_workers.study import Trial

WIDTH, HEIGHT = 640, 220  # of the drawing, in SVG units
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 620, 15, 185  # of what is between the axes


class Step(NamedTuple):
    """A candidate judged on all validation examples: NMSE in [0, 100], validity in [0, 1].

    `calls` are the judge calls of the search by then, `best_nmse` is the lowest up to and with it.
    """

    trial: int
    calls: int
    nmse: float
    best_nmse: float
    validity: float

    @property
    def figures(self) -> dict[str, float]:
        """As metrics over judge calls."""
        return {"val_nmse": self.nmse, "best_val_nmse": self.best_nmse, "val_validity": self.validity}


class Line(NamedTuple):
    """The best NMSE as the path of an SVG, and the ends of its axes, which begin at 0."""

    path: str
    top_nmse: float
    last_call: int


def course_of(trials: Sequence[Trial]) -> list[Step]:
    """A step for each trial on all validation examples, in the order in which they were decided upon."""
    steps: list[Step] = []
    best = float("inf")
    for trial in trials:
        if trial.is_full and trial.split == "val":
            nmse = 100.0 * (1.0 - trial.score)
            best = min(best, nmse)
            steps.append(Step(trial.number, trial.calls, nmse, best, trial.validity))
    return steps


def line_of(course: Sequence[Step], num_calls: int) -> Line:
    """The step line from the first candidate to the end of the search, `num_calls` judge calls from its start.

    Raises: ValueError if the course is empty.
    """
    if not course:
        raise ValueError("no candidate was judged on all validation examples; there is no line to draw")
    top = max(course[0].best_nmse, 1.0)
    last_call = max(course[-1].calls, num_calls, 1)

    def across(calls: int) -> str:
        return f"{_LEFT + (_RIGHT - _LEFT) * calls / last_call:.1f}"

    def down(nmse: float) -> str:
        return f"{_BOTTOM - (_BOTTOM - _TOP) * nmse / top:.1f}"

    steps = "".join(f"H{across(step.calls)}V{down(step.best_nmse)}" for step in course[1:])
    start = f"M{across(course[0].calls)} {down(course[0].best_nmse)}"
    return Line(f"{start}{steps}H{across(last_call)}", top, last_call)
