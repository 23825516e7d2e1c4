"""Evidence: all that the gate's rules may look at, and why something could not be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example
from optimize_workers.evidence.gate.rating_shift import RatingShift
from optimize_workers.guardrails import Refusal
from optimize_workers.statistics.comparison import Comparison
from optimize_workers.statistics.metrics import Figures

BASELINE = "the baseline"


class HeldOut(NamedTuple):
    """Held-out examples with a judge's judgments, and those of the judge that it is compared with, in one order."""

    examples: Sequence[Example]
    judgments: Sequence[Judgment]
    reference: Sequence[Judgment] | None
    scale: Scale


@dataclass(frozen=True)
class TextFindings:
    """What the texts of a judge say about it before it is asked anything.

    Attributes:
        refusal: what the guardrails say about its instruction, if they refuse it.
        overspent: what it changed beyond its diff budget, where it has one.
        no_guardrails: why the guardrails were not asked; empty if they were.
        no_diff_budget: why it was not looked for changes beside its bullets; empty if it was.
    """

    refusal: Refusal | None = None
    overspent: str | None = None
    no_guardrails: str = "they were not asked"
    no_diff_budget: str = "it has none; only a choice of bullets has"


@dataclass(frozen=True)
class GateEvidence:
    """What is known of a judge; rules that need what is missing are not checked, and say so.

    Attributes:
        figures: held-out ones; of no examples they are refused, like all that cannot be computed.
        comparison: with the champion or the baseline, on the same examples; None if there is neither.
        held_out: the judgments that the figures are of; None where only figures are known.
        rating_shifts: what the adversarial suite did to its ratings; None if it was not run.
        texts: what its texts say.
        against: what the judge is compared with, in words; where there is nothing, why.
    """

    figures: Figures
    comparison: Comparison | None
    held_out: HeldOut | None = None
    rating_shifts: Sequence[RatingShift] | None = None
    texts: TextFindings = TextFindings()
    against: str = BASELINE
