"""Ablation of a judge's bullets: what each of them does to the error today, held against the judge without it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.program import Program
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example
from optimize_workers.statistics.comparison import Comparison, compare


class Verdict(StrEnum):
    """What the 95 % interval of a bullet's effect says."""

    HELPS = "helps"  # all of it below 0
    NO_EFFECT = "no effect shown"
    HURTS = "hurts"  # all of it above 0


class BulletEffect(NamedTuple):
    """A bullet with what it adds to the NMSE on the same examples; below 0 it helps."""

    bullet: str
    effect: Comparison

    @property
    def verdict(self) -> Verdict:
        """What the interval says; a bullet that shows no effect any more may be retired."""
        low, high = self.effect.ci95
        return Verdict.HELPS if high < 0 else Verdict.HURTS if low > 0 else Verdict.NO_EFFECT


def without_each(program: Program) -> list[Program]:
    """The program without its first bullet, without its second, ..."""
    return [
        program.model_copy(update={"bullets": program.bullets[:place] + program.bullets[place + 1 :]})
        for place in range(len(program.bullets))
    ]


def ablate(
    bullets: Sequence[str],
    whole: Sequence[Judgment],
    without: Sequence[Sequence[Judgment]],
    examples: Sequence[Example],
    scale: Scale,
) -> list[BulletEffect]:
    """The effect of each bullet, from judgments of the whole judge and of those of `without_each`, in that order."""
    return [
        BulletEffect(bullet, compare(others, whole, examples, scale))
        for bullet, others in zip(bullets, without, strict=True)
    ]
