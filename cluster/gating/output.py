"""What comes of a `gate`: its `result.json`, the registry's record, and the files of its run folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cluster.gating.reference import Reference
from cluster.gating.side_by_side import MeasuredSide
from cluster.measuring.measure import Measured
from cluster.registry import GateRecord, KeptShift, Registry
from cluster.registry.answer import Asked, record_of, register_answered
from cluster.report import write_report
from cluster.runs.run import Run
from judge_serve.judging.release import Release
from optimize_workers.dataset.splits import Dataset
from optimize_workers.evidence.gate.adversarial import Perturbed
from optimize_workers.evidence.gate.check import GateResult
from optimize_workers.evidence.gate.rating_shift import RatingShift
from optimize_workers.statistics.comparison import Comparison


class Gated(NamedTuple):
    """A release (`winner`) and what it was held against (`baseline`), measured, and the answer.

    `pairs` and `rating_shifts` are empty where no perturbed pair was judged.
    """

    sides: dict[str, MeasuredSide]
    comparison: Comparison | None
    gate: GateResult
    pairs: Sequence[Perturbed]
    rating_shifts: Sequence[RatingShift]

    @property
    def winner(self) -> Measured:
        """The release, measured."""
        return self.sides["winner"].measured

    @property
    def reference(self) -> Measured | None:
        """What it was held against, measured."""
        return self.sides["baseline"].measured if "baseline" in self.sides else None


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
        **Run.made_with(),
        "adversarial": [shift.as_dict() for shift in gated.rating_shifts],
    }


def register_gated(
    registry: Registry,
    gated: Gated,
    reference: Reference,
    dataset: Dataset,
    openings: int,
    ancestors: Sequence[Release],
) -> str:
    """Register the release with what the gate answered; returns its card."""
    record = _record_of(gated, reference, dataset, openings)
    return register_answered(registry, gated.winner.release, record, ancestors)


def _record_of(gated: Gated, reference: Reference, dataset: Dataset, openings: int) -> GateRecord:
    against = (reference.release.id, reference.role) if reference.release else None
    asked = Asked("gate", dataset, against, openings)
    record = record_of(asked, gated.gate, gated.winner.figures, gated.winner.examples)
    kept = tuple(KeptShift.model_validate(shift.as_dict()) for shift in gated.rating_shifts)
    return record.model_copy(update={"adversarial": kept})


def write_run(run: Run, gated: Gated, result: dict[str, Any], card: str) -> None:
    """The files of the run folder, `result.json` last."""
    folder = run.folder
    folder.write_text("release.json", gated.winner.release.to_json())
    folder.write_text("model_card.md", card)
    names = [name for name in ("baseline", "winner") if name in gated.sides]
    folder.write_judgments([gated.sides[name].measured.group(name) for name in names])
    if gated.pairs:
        folder.write_rows("adversarial.parquet", _rerated_rows(gated))
    write_report(folder, result)
    run.finish(result)


def _rerated_rows(gated: Gated) -> list[dict[str, Any]]:
    """One row per perturbed pair and release, without any text, from which the shifts can be recomputed."""
    rows = []
    for name, (measured, judgments) in gated.sides.items():
        for pair, judgment in zip(gated.pairs, judgments, strict=True):
            before = measured.judgments[pair.place]
            rows.append(
                {
                    "arm": name,
                    "kind": str(pair.kind),
                    "query_id": before.query_id,
                    "doc_id": before.doc_id,
                    "perturbed_doc_id": judgment.doc_id,
                    "gold_rating": pair.example.gold_rating,
                    "rating_before": before.value,
                    "rating_after": judgment.value,
                    "invalid_reason": judgment.invalid_reason and str(judgment.invalid_reason),
                    "not_judged": judgment.cause,
                }
            )
    return rows
