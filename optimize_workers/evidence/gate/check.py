"""The gate: rules that a judge must pass on held-out data before it may be deployed without an override."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from optimize_workers.evidence.gate.adversarial_rules import adversarial_rules
from optimize_workers.evidence.gate.config import GateConfig
from optimize_workers.evidence.gate.paired_rules import HeldOut, paired_rules
from optimize_workers.evidence.gate.rating_shift import Shift
from optimize_workers.evidence.gate.rule import Rule, RuleStatus, at_least, at_most, kept, more_than, not_checked
from optimize_workers.guardrails import Refusal
from optimize_workers.statistics.comparison import Comparison
from optimize_workers.statistics.metrics import Figures

__all__ = ["BASELINE", "GateConfig", "GateEvidence", "GateResult", "HeldOut", "check_gate"]

BASELINE = "the baseline"


class GateResult(NamedTuple):
    """The gate's answer.

    Attributes:
        reasons: why not, one line each.
        rules: every rule, those that passed too.
        changed_limits: those that were not the usual ones, by name.
    """

    passed: bool
    reasons: list[str]
    rules: tuple[Rule, ...] = ()
    changed_limits: Mapping[str, float] = MappingProxyType({})

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "passed": self.passed,
            "reasons": self.reasons,
            "rules": [rule.as_dict() for rule in self.rules],
            "changed_limits": dict(self.changed_limits),
        }


@dataclass(frozen=True)
class GateEvidence:
    """What the gate is shown beside the figures and their comparison.

    Attributes:
        pairs: the judgments; without them the rules that need them are not checked.
        shifts: what the adversarial suite did to its ratings; None if it was not run.
        against: what the judge is compared with, in words; where there is nothing, why.
        no_guardrails: why the guardrails were not asked; empty if they were.
        no_diff_budget: why it was not looked for changes beside its bullets; empty if it was.
    """

    pairs: HeldOut | None = None
    shifts: Sequence[Shift] | None = None
    against: str = BASELINE
    no_guardrails: str = ""
    no_diff_budget: str = "it has none; only a choice of bullets has"


_LITTLE = GateEvidence(no_guardrails="they were not asked")


def check_gate(
    winner: Figures,
    comparison: Comparison | None,
    config: GateConfig | None = None,
    refusal: Refusal | None = None,
    overspent: str | None = None,
    evidence: GateEvidence = _LITTLE,
) -> GateResult:
    """Hold a judge's held-out figures and its comparison with another against the rules.

    Args:
        winner: its figures; of no examples they are refused, like all that cannot be computed.
        comparison: with the champion or the baseline, on the same examples; None if there is neither.
        config: limits other than the usual ones.
        refusal: what the guardrails say about its instruction, if they refuse it.
        overspent: what it changed beyond its diff budget, where it has one.
        evidence: what else is known.
    """
    limits = config or GateConfig()
    rules = (
        *_text_rules(refusal, overspent, evidence),
        *_figure_rules(winner, comparison, limits, evidence.against),
        *paired_rules(evidence.pairs, evidence.against, limits),
        *adversarial_rules(evidence.shifts, evidence.against, limits),
    )
    reasons = [rule.reason or rule.name for rule in rules if rule.status is RuleStatus.FAILED]
    return GateResult(not reasons, reasons, rules, limits.changed())


def _text_rules(refusal: Refusal | None, overspent: str | None, evidence: GateEvidence) -> Iterator[Rule]:
    if refusal is None and evidence.no_guardrails:
        yield not_checked("guardrails", evidence.no_guardrails)
    else:
        said = f"the guardrails refuse its instruction: {refusal.reason} ({refusal.detail})" if refusal else None
        yield kept("guardrails", said)
    if overspent is None and evidence.no_diff_budget:
        yield not_checked("diff_budget", evidence.no_diff_budget)
    else:
        yield kept("diff_budget", f"more than the bullet block changed: {overspent}" if overspent else None)


def _figure_rules(winner: Figures, comparison: Comparison | None, limits: GateConfig, against: str) -> Iterator[Rule]:
    needed = limits.min_examples
    yield at_least("examples", winner.n, needed, f"only {winner.n} held-out examples, at least {needed} are needed")
    validity = winner.valid / winner.n if winner.n else None
    shown = "undefined" if validity is None else f"{validity:.3f}"
    yield at_least("validity", validity, limits.min_validity, f"validity {shown} is below {limits.min_validity}")
    yield _difference_rule(comparison, limits, against)
    skill = winner.skill if winner.n else None
    shown = "undefined" if skill is None else f"{skill:+.3f}"
    yield more_than(
        "skill",
        skill,
        limits.min_skill,
        f"skill over the constant answer is {shown}, needs more than {limits.min_skill}: "
        "answering the mean human rating would do as well",
    )
    if winner.bias is None:
        yield not_checked("bias", "no reply can be read", limits.max_abs_bias)
        yield not_checked("single_rating", "no reply can be read", limits.max_single_rating_share)
        return
    reason = f"bias {winner.bias:+.2f} is beyond {limits.max_abs_bias} rating units"
    bias = at_most("bias", abs(winner.bias), limits.max_abs_bias, reason)
    yield bias._replace(found=winner.bias if math.isfinite(winner.bias) else None)
    share = winner.largest_rating_share
    yield at_most(
        "single_rating",
        share,
        limits.max_single_rating_share,
        f"collapsed: {share:.0%} of its ratings are the same",
    )


def _difference_rule(comparison: Comparison | None, limits: GateConfig, against: str) -> Rule:
    """Not worse at 95 %: a difference that may reach beyond the limit fails, however good the mean looks."""
    if comparison is None:
        return not_checked("nmse_difference", f"there is nothing to compare with: {against}", limits.max_worsening)
    end = comparison.ci95[1]
    reason = (
        f"NMSE may be worse than that of {against} by more than {limits.max_worsening:g}: "
        f"the 95 % interval of the difference ends at {end:+.2f}"
    )
    return at_most("nmse_difference", end, limits.max_worsening, reason)
