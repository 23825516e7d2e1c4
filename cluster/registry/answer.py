"""An answer of the gate as the registry keeps it, and the card that says it to people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cluster.registry.card import model_card
from cluster.registry.gate_record import MAX_REASON_CHARS, GateRecord, KeptRule, figures_of
from cluster.registry.store import Registry
from judge_serve.judging.release import Release
from judge_serve.judging.task import Example
from optimize_workers.dataset.splits import Dataset
from optimize_workers.evidence.gate.check import GateResult
from optimize_workers.statistics.metrics import Figures
from optimize_workers.texts.query_groups import query_groups


class Asked(NamedTuple):
    """How the gate came to be asked.

    Attributes:
        command: what asked.
        dataset: whose test split the judges were held against each other on.
        against: id and role of the other judge, None where there was none.
        test_openings: how often the test split was opened so far.
    """

    command: str
    dataset: Dataset
    against: tuple[str, str] | None
    test_openings: int


def record_of(asked: Asked, gate: GateResult, figures: Figures, examples: Sequence[Example]) -> GateRecord:
    """What the registry keeps of an answer; figures and examples are those of the release."""
    other, role = asked.against or (None, "")
    return GateRecord(
        command=asked.command,
        passed=gate.passed,
        reasons=tuple(reason[:MAX_REASON_CHARS] for reason in gate.reasons),  # one may name an id or path of any length
        rules=tuple(
            KeptRule.model_validate({**rule.as_dict(), "reason": rule.reason and rule.reason[:MAX_REASON_CHARS]})
            for rule in gate.rules
        ),
        against=other,
        against_role=role,
        fingerprint=asked.dataset.fingerprint,
        n=figures.n,
        queries=len(set(query_groups(example.item for example in examples))),
        figures=figures_of(figures.as_dict()),
        changed_limits=dict(gate.changed_limits),
        test_openings=asked.test_openings,
    )


def register_answered(registry: Registry, release: Release, record: GateRecord, ancestors: Sequence[Release]) -> str:
    """Register a release with an answer; returns its model card."""
    return model_card(registry.register(release, gate=record), ancestors)
