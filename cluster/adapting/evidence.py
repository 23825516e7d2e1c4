"""Evidence: two judges on the same held-out examples, and what the release of the second says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cluster.adapting.waterfall import HeldOutStep
from cluster.measuring.measure import Measured
from optimize_workers.dataset.splits import Dataset
from optimize_workers.evidence.gate.check import GateResult
from optimize_workers.statistics.comparison import Comparison


class Proof(NamedTuple):
    """Baseline and winner measured under the same conditions on held-out examples.

    `overspent` is what a choice of bullets changed beside them, `calibration` what a calibration of the winner did,
    `role` what the baseline is to the winner.
    """

    baseline: Measured
    winner: Measured
    comparison: Comparison
    gate: GateResult
    test_openings: int
    steps: Sequence[HeldOutStep] = ()
    overspent: str | None = None
    calibration: dict[str, Any] | None = None
    role: str = "the baseline"


def with_evidence(
    winner: Measured, baseline: Measured, compared: Comparison, dataset: Dataset, search: dict[str, Any]
) -> Measured:
    """The winner with its release carrying the evidence: data, search, both judges' figures, their comparison."""
    evidence = {
        "dataset": {
            "fingerprint": dataset.fingerprint,
            "split": "test",
            "n": len(winner.examples),
            "sizes": {split: len(examples) for split, examples in dataset.by_split.items()},
        },
        **search,
        "baseline": _evidence_of(baseline),
        "winner": _evidence_of(winner),
        "comparison": compared.as_dict(),
    }
    return winner._replace(
        release=winner.release.model_copy(update={"evidence": evidence, "canaries": winner.canaries})
    )


def _evidence_of(measured: Measured) -> dict[str, Any]:
    figures = measured.figures.as_dict()
    errors = ("n", "valid", "invalid", "nmse", "nmse_ci95", "nmse_valid", "nmse_constant")
    kept = (*errors, "skill", "skill_ci95", "qwk", "bias")
    return {key: figures[key] for key in kept}
