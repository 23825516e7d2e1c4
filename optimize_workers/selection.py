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


@dataclass(frozen=True)
class Step:
    """One accepted change, measured on the validation examples; NMSE in [0, 100], lower is better.

    Attributes:
        bullets: what was added or removed; empty for the baseline and for a new order.
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


@dataclass(frozen=True)
class HarmfulBullet:
    """A bullet that raised the error of training examples: by so many NMSE points, with their standard error."""

    text: str
    added_nmse: float
    error: float


@dataclass(frozen=True)
class Selection:
    """What a selection came to: its steps in order, the baseline first, and the bullets that were found to hurt."""

    steps: tuple[Step, ...]
    harmful: tuple[HarmfulBullet, ...]
