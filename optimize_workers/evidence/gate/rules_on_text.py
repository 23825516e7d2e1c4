"""Rules of the gate on what a judge's texts say: the guardrails, the diff budget."""

from __future__ import annotations

from optimize_workers.evidence.gate.config import GateConfig
from optimize_workers.evidence.gate.evidence import GateEvidence
from optimize_workers.evidence.gate.rule import Rule, kept, not_checked


def guardrails(evidence: GateEvidence, limits: GateConfig) -> Rule:
    """The guardrails allow its instruction."""
    refusal, no_guardrails = evidence.texts.refusal, evidence.texts.no_guardrails
    if refusal is None and no_guardrails:
        return not_checked("guardrails", no_guardrails)
    said = f"the guardrails refuse its instruction: {refusal.reason} ({refusal.detail})" if refusal else None
    return kept("guardrails", said)


def diff_budget(evidence: GateEvidence, limits: GateConfig) -> Rule:
    """A choice of bullets changed nothing but bullets."""
    overspent, no_diff_budget = evidence.texts.overspent, evidence.texts.no_diff_budget
    if overspent is None and no_diff_budget:
        return not_checked("diff_budget", no_diff_budget)
    return kept("diff_budget", f"more than the bullet block changed: {overspent}" if overspent else None)
