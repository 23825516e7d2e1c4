"""What comes of a `gate`: its `result.json`, the registry's record, and the files of its run folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cluster.gating.arms import MeasuredArm
from cluster.gating.record import record_of
from cluster.gating.reference import Reference
from cluster.measuring.measure import Measured
from cluster.registry.gate_record import GateRecord, KeptShift
from cluster.report.html import write_report
from cluster.runs.folder import RunFolder
from cluster.runs.versions import made_with
from optimize_workers.dataset.splits import Dataset
from optimize_workers.evidence.gate.adversarial import Perturbed
from optimize_workers.evidence.gate.check import GateResult
from optimize_workers.evidence.gate.rating_shift import RatingShift
from optimize_workers.statistics.comparison import Comparison


class Gated(NamedTuple):
    """A release (arm `winner`) and what it was held against (arm `baseline`), measured, and the answer.

    `pairs` and `shifts` are empty where no perturbed pair was judged.
    """

    arms: dict[str, MeasuredArm]
    comparison: Comparison | None
    gate: GateResult
    pairs: Sequence[Perturbed]
    shifts: Sequence[RatingShift]

    @property
    def winner(self) -> Measured:
        """The release, measured."""
        return self.arms["winner"].measured

    @property
    def reference(self) -> Measured | None:
        """What it was held against, measured."""
        return self.arms["baseline"].measured if "baseline" in self.arms else None


def result_of(gated: Gated, reference: Reference, dataset: Dataset, openings: int) -> dict[str, Any]:
    """The content of `result.json`, in the shape of `optimize`'s."""
    winner, other = gated.winner, gated.reference
    return {
        "release": winner.release.id,
        "name": winner.release.name,
        "against": {"release": reference.release.id if reference.release else None, "role": reference.role},
        "baseline": other.as_dict(dataset, "test") if other else None,
        "winner": winner.as_dict(dataset, "test"),
        "comparison": gated.comparison.as_dict() if gated.comparison else None,
        "test_openings": openings,
        "gate": gated.gate.as_dict(),
        **made_with(),
        "adversarial": [shift.as_dict() for shift in gated.shifts],
    }


def record_of_gated(gated: Gated, reference: Reference, dataset: Dataset, openings: int) -> GateRecord:
    """What the registry keeps."""
    against = (reference.release.id, reference.role) if reference.release else None
    record = record_of("gate", gated.gate, gated.winner, dataset, against, openings)
    shifts = tuple(KeptShift.model_validate(shift.as_dict()) for shift in gated.shifts)
    return record.model_copy(update={"adversarial": shifts})


def write_run(folder: RunFolder, gated: Gated, result: dict[str, Any], card: str) -> None:
    """The files of the run folder, `result.json` last: its presence means that the run is complete."""
    arms = [(name, gated.arms[name].measured) for name in ("baseline", "winner") if name in gated.arms]
    folder.write_text("release.json", gated.winner.release.to_json())
    folder.write_text("model_card.md", card)
    folder.write_judgments([(arm, one.release.id, one.judgments, one.examples) for arm, one in arms])
    if gated.pairs:
        folder.write_rows("adversarial.parquet", _rerated_rows(gated))
    write_report(folder, result)
    folder.write_json("result.json", result)


def _rerated_rows(gated: Gated) -> list[dict[str, Any]]:
    """One row per perturbed pair and arm, without any text, from which the shifts can be recomputed."""
    rows = []
    for arm, (measured, judgments) in gated.arms.items():
        for pair, judgment in zip(gated.pairs, judgments, strict=True):
            before = measured.judgments[pair.place]
            rows.append(
                {
                    "arm": arm,
                    "kind": str(pair.kind),
                    "query_id": before.query_id,
                    "doc_id": before.doc_id,
                    "perturbed_doc_id": judgment.doc_id,
                    "gold_rating": pair.example.gold_rating,
                    "rating_before": before.value,
                    "rating_after": judgment.value,
                    "invalid_reason": judgment.invalid_reason and str(judgment.invalid_reason),
                }
            )
    return rows
