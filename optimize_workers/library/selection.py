"""A selection of bullets: the accepted steps, each with what it did to the validation error, and what hurts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from judge_serve.judging.program import Program


class Change(StrEnum):
    """What a step did to the bullets."""

    BASELINE = "baseline"
    ADDED = "added"
    REMOVED = "removed"
    REORDERED = "reordered"


class Ground(StrEnum):
    """What the paired test of a step showed."""

    BETTER = "better"  # than the step before
    NOT_NEEDED = "not needed"  # what was removed: the step before is not better by the margin, nor on the mean


@dataclass(frozen=True)
class Step:
    """One accepted change, measured on the validation examples; NMSE in [0, 100], lower is better.

    Attributes:
        bullets: what was added or removed; empty for the baseline and for a new order.
        ground: why it was accepted; None for the baseline.
        p_value: of the one-sided paired test that says so; None for the baseline.
        program: with the change.
        nmse, ci95: of that program, with its 95 % interval by query.
        delta_nmse, delta_ci95: against the step before, on the same examples; 0 for the baseline.
        calls: judge calls of the search by then.
    """

    change: Change
    bullets: tuple[str, ...]
    program: Program
    nmse: float
    ci95: tuple[float, float]
    delta_nmse: float
    delta_ci95: tuple[float, float]
    calls: int
    ground: Ground | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class HarmfulBullet:
    """A bullet that raised the error of training examples.

    Attributes:
        shrunk_added_nmse: NMSE points that it adds, as the ridge regression of screening estimates them: shrunk towards
            0, so rather too little. It ranks and warns; it is no measured difference.
        error: standard deviation of that estimate under the same shrinking.
    """

    text: str
    shrunk_added_nmse: float
    error: float


@dataclass(frozen=True)
class Selection:
    """What a selection came to: its steps in order, the baseline first, and the bullets that were found to hurt."""

    steps: tuple[Step, ...]
    harmful: tuple[HarmfulBullet, ...]
