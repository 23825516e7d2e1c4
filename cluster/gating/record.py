"""What the registry keeps of an answer of the gate."""

from __future__ import annotations

from cluster.measuring.measure import Measured
from cluster.registry.gate_record import MAX_REASON_CHARS, GateRecord, KeptRule, figures_of
from optimize_workers.dataset.splits import Dataset
from optimize_workers.evidence.gate.check import GateResult


def record_of(
    command: str,
    gate: GateResult,
    winner: Measured,
    dataset: Dataset,
    against: tuple[str, str] | None,
    openings: int,
) -> GateRecord:
    """What the registry keeps of an answer of the gate.

    `against` is the id and the role of the other judge, `openings` how often the test split was opened so far.
    """
    other, role = against or (None, "")
    return GateRecord(
        command=command,
        passed=gate.passed,
        reasons=tuple(reason[:MAX_REASON_CHARS] for reason in gate.reasons),  # one may name an id or path of any length
        rules=tuple(
            KeptRule.model_validate({**rule.as_dict(), "reason": rule.reason and rule.reason[:MAX_REASON_CHARS]})
            for rule in gate.rules
        ),
        against=other,
        against_role=role,
        fingerprint=dataset.fingerprint,
        n=winner.figures.n,
        queries=len({example.item.query_id for example in winner.examples}),
        figures=figures_of(winner.figures.as_dict()),
        changed_limits=dict(gate.changed_limits),
        test_openings=openings,
    )
