"""The course of a search: NMSE on validation over judge calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from optimize_workers.study import Trial


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
