"""The proof of a search: baseline and winner under the same conditions on the test split, and the gate's answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from cluster.adapting.calibration import Calibrating, calibration_as_dict, evidence_of, measure_applied
from cluster.adapting.search import Search
from cluster.adapting.waterfall import HeldOutStep, measure_steps
from cluster.endpoint.session import Session
from cluster.measuring.measure import Measured, measure_judge
from cluster.progress import Progress
from cluster.runs.folder import RunFolder
from judge_serve.judging.judge import Judge
from judge_serve.judging.program import Program
from judge_serve.judging.release import Release
from optimize_workers.dataset.splits import Dataset, draw_examples
from optimize_workers.evidence.diff_budget import changed_outside_bullets
from optimize_workers.evidence.gate.check import GateResult, check_gate
from optimize_workers.evidence.gate.config import GateConfig
from optimize_workers.evidence.gate.evidence import GateEvidence, HeldOut, TextFindings
from optimize_workers.ledger import Ledger
from optimize_workers.statistics.comparison import Comparison, compare


class Proof(NamedTuple):
    """Baseline and winner measured under the same conditions on held-out examples.

    `overspent` is what a choice of bullets changed beside them, `calibration` what a calibration of the winner did.
    """

    baseline: Measured
    winner: Measured
    comparison: Comparison
    gate: GateResult
    test_openings: int
    steps: Sequence[HeldOutStep] = ()
    overspent: str | None = None
    calibration: dict[str, Any] | None = None


def prove(
    judge: Judge,
    search: Search,
    dataset: Dataset,
    session: Session,
    ledger: Ledger,
    folder: RunFolder,
    progress: Progress,
    limit: int,
    made_by: dict[str, Any],
    calibrating: Calibrating | None = None,
    rules: GateConfig | None = None,
) -> Proof:
    """Open the test split and compare the baseline with the winner of a search on it.

    `limit` is how many examples at most, 0 takes all; `made_by` is what the release says of its search;
    `calibrating` is the winner's calibration, fitted before; `rules` are limits of the gate other than the usual ones.
    """
    name = judge.task.name
    test = dataset.open_split("test", lambda digest: ledger.record_test_opening(digest, "optimize", str(folder.path)))
    openings = ledger.count_test_openings(dataset.fingerprint)
    examples = draw_examples(test, limit or None)
    if len(examples) < len(test):
        progress.note(f"comparing on {len(examples)} of {len(test)} held-out test examples; --limit 0 takes all")
    first = Release(name=name, judge=judge)
    second = Release(
        name=name, judge=judge.model_copy(update={"program": search.study.winner}), parents=(first.digest,)
    )
    title = f"baseline on {len(examples)} held-out test examples"
    baseline = measure_judge(first, examples, session.pool, progress, title, ledger)
    if second.judge == first.judge:
        progress.note("the search found nothing better than the baseline; the winner is the baseline")
        winner = baseline
    else:
        title = f"winner on the same {len(examples)} test examples"
        winner = measure_judge(second, examples, session.pool, progress, title, ledger)
    plain, calibration = winner, None
    if calibrating is not None:
        winner = measure_applied(calibrating, plain, progress)
        calibration = calibration_as_dict(calibrating, plain, winner)
        made_by = {**made_by, "calibration": evidence_of(calibrating.fitted)}
    compared = compare(baseline.judgments, winner.judgments, examples, judge.task.scale)

    def measure_step(number: int, program: Program) -> Measured:
        release = Release(name=name, judge=judge.model_copy(update={"program": program}), parents=(first.digest,))
        return measure_judge(release, examples, session.pool, progress, f"step {number} on the same examples", ledger)

    selection = search.study.selection
    steps = measure_steps(selection.steps if selection else (), (baseline, plain), measure_step, judge.task.scale)
    overspent = changed_outside_bullets(judge, second.judge) if selection else None
    texts = TextFindings(search.refusal, overspent, no_guardrails="")
    if selection:
        texts = replace(texts, no_diff_budget="")
    held_out = HeldOut(examples, winner.judgments, baseline.judgments, judge.task.scale)
    gate = check_gate(GateEvidence(winner.figures, compared, held_out, texts=texts), rules)
    proven = with_evidence(winner, baseline, compared, dataset, made_by)
    return Proof(baseline, proven, compared, gate, openings, steps, overspent, calibration)


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
    return winner._replace(release=winner.release.model_copy(update={"evidence": evidence}))


def _evidence_of(measured: Measured) -> dict[str, Any]:
    figures = measured.figures.as_dict()
    errors = ("n", "valid", "invalid", "nmse", "nmse_ci95", "nmse_valid", "nmse_constant")
    kept = (*errors, "skill", "skill_ci95", "qwk", "bias")
    return {key: figures[key] for key in kept}
