"""The gate: rules that a winner must pass on held-out data before it may be deployed without an override."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from optimize_workers.evidence.comparison import Comparison
from optimize_workers.guardrails import Refusal
from optimize_workers.metrics import Figures


class GateConfig(BaseModel):
    """Limits of the gate.

    Attributes:
        min_examples: held-out examples needed to say anything.
        min_validity: share of readable judgments.
        max_worsening: NMSE points that the upper end of the interval may lie above the baseline.
        min_skill: how far a judge must beat the constant answer.
        max_abs_bias: mean signed error allowed, in rating units.
        max_single_rating_share: share of one rating above which a judge counts as collapsed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_examples: int = Field(40, ge=1)
    min_validity: float = Field(0.95, ge=0, le=1)
    max_worsening: float = Field(0.0, ge=0)
    min_skill: float = 0.0
    max_abs_bias: float = Field(0.75, ge=0)
    max_single_rating_share: float = Field(0.9, gt=0, le=1)


class GateResult(NamedTuple):
    """The gate's answer; `reasons` says why not, one line each."""

    passed: bool
    reasons: list[str]


def check_gate(
    winner: Figures,
    comparison: Comparison,
    config: GateConfig | None = None,
    refusal: Refusal | None = None,
    overspent: str | None = None,
) -> GateResult:
    """Hold a winner's held-out figures and its comparison with the baseline against the rules.

    Args:
        winner: its figures.
        comparison: with the baseline, on the same examples.
        config: limits other than the usual ones.
        refusal: what the guardrails say about its instruction, if they refuse it.
        overspent: what it changed beyond its diff budget, where it has one.
    """
    limits = config or GateConfig()
    reasons = [f"the guardrails refuse its instruction: {refusal.reason} ({refusal.detail})"] if refusal else []
    if overspent:
        reasons.append(f"more than the bullet block changed: {overspent}")
    if winner.n < limits.min_examples:
        reasons.append(f"only {winner.n} held-out examples, at least {limits.min_examples} are needed")
    if winner.validity < limits.min_validity:
        reasons.append(f"validity {winner.validity:.3f} is below {limits.min_validity}")
    if comparison.ci95[1] > limits.max_worsening:
        reasons.append(
            "NMSE may be worse than the baseline's: "
            f"the 95 % interval of the difference ends at {comparison.ci95[1]:+.2f}"
        )
    if winner.skill is None or winner.skill <= limits.min_skill:
        shown = "undefined" if winner.skill is None else f"{winner.skill:+.3f}"
        reasons.append(
            f"skill over the constant answer is {shown}, needs more than {limits.min_skill}: "
            "answering the mean human rating would do as well"
        )
    if winner.bias is not None and abs(winner.bias) > limits.max_abs_bias:
        reasons.append(f"bias {winner.bias:+.2f} is beyond {limits.max_abs_bias} rating units")
    share = winner.largest_rating_share
    if share > limits.max_single_rating_share:
        reasons.append(f"collapsed: {share:.0%} of its ratings are the same")
    return GateResult(not reasons, reasons)
