"""The gate: rules that a judge must pass on held-out data before it may be deployed without an override.

A rule is a function of the evidence and the limits, and a line in `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from optimize_workers.evidence.gate.adversarial import Kind
from optimize_workers.evidence.gate.config import GateConfig
from optimize_workers.evidence.gate.evidence import GateEvidence
from optimize_workers.evidence.gate.rule import Rule, RuleStatus
from optimize_workers.evidence.gate.rules_on_figures import (
    bias,
    examples,
    nmse_difference,
    single_rating,
    skill,
    validity,
)
from optimize_workers.evidence.gate.rules_on_judgments import (
    grades,
    grades_difference,
    queries,
    rating_distance,
    skill_low,
)
from optimize_workers.evidence.gate.rules_on_perturbed import adversarial, adversarial_difference, adversarial_kind
from optimize_workers.evidence.gate.rules_on_text import diff_budget, guardrails

GateRule = Callable[[GateEvidence, GateConfig], Rule | None]

# in the order in which they are shown; None is the answer of a rule that another one stands for
RULES: tuple[GateRule, ...] = (
    guardrails,
    diff_budget,
    examples,
    validity,
    nmse_difference,
    skill,
    bias,
    single_rating,
    queries,
    skill_low,
    grades,
    grades_difference,
    rating_distance,
    adversarial,
    *(partial(adversarial_kind, kind) for kind in Kind),
    adversarial_difference,
)


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


def check_gate(evidence: GateEvidence, limits: GateConfig | None = None) -> GateResult:
    """Hold what is known of a judge against every rule; `limits` are other than the usual ones."""
    limits = limits or GateConfig()
    rules = tuple(answer for rule in RULES if (answer := rule(evidence, limits)) is not None)
    reasons = [rule.reason or rule.name for rule in rules if rule.status is RuleStatus.FAILED]
    return GateResult(not reasons, reasons, rules, limits.changed())
