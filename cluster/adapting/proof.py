"""The proof of a search: baseline and winner under the same conditions on the test split, and the gate's answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cluster.adapting.adaptation import Adaptation
from cluster.adapting.calibration import TrainFit, calibration_as_dict, evidence_of, measure_applied
from cluster.adapting.evidence import Proof, with_evidence
from cluster.adapting.search import Search
from cluster.adapting.waterfall import HeldOutStep, measure_steps
from cluster.measuring.measure import Measured
from cluster.runs.run import count_opening
from judge_serve.judging.program import Program
from judge_serve.judging.release import Release
from judge_serve.judging.task import Example
from optimize_workers.dataset.splits import draw_examples
from optimize_workers.evidence.diff_budget import changed_outside_bullets
from optimize_workers.evidence.gate.check import check_gate
from optimize_workers.evidence.gate.evidence import GateEvidence, HeldOut, TextFindings
from optimize_workers.statistics.comparison import compare


def keep_winner(adaptation: Adaptation, search: Search) -> None:
    """Write what a search found before anything else is asked: a failure while it is proven cannot take it away.

    It is `release.json` without evidence, no gate has passed it; the proven release takes its place in the end.
    """
    found = _child_of(_baseline_of(adaptation), search.study.winner)
    path = adaptation.run.folder.write_release(found.to_json())
    adaptation.run.progress.note(f"the winner of the search is {path}, not proven yet")


def prove(
    adaptation: Adaptation, search: Search, made_by: dict[str, Any], calibration_of_winner: TrainFit | None = None
) -> Proof:
    """Open the test split and compare the baseline with the winner of a search on it.

    `made_by` is what the release says of its search; the calibration was fitted before.
    """
    judge, config, measurer = adaptation.judge, adaptation.config, adaptation.measurer
    openings, examples = _open_test(adaptation)
    first = _baseline_of(adaptation)
    second = _child_of(first, search.study.winner)
    baseline = measurer.measure(first, examples, f"baseline on {len(examples)} held-out test examples")
    if second.judge == first.judge:
        measurer.progress.note("the search found nothing better than the baseline; the winner is the baseline")
        plain = baseline
    else:
        plain = measurer.measure(second, examples, f"winner on the same {len(examples)} test examples")
    winner, calibration = plain, None
    if calibration_of_winner is not None:
        winner = measure_applied(calibration_of_winner, plain, measurer)
        calibration = calibration_as_dict(calibration_of_winner, plain, winner)
        made_by = {**made_by, "calibration": evidence_of(calibration_of_winner.fitted)}
    compared = compare(baseline.judgments, winner.judgments, examples, judge.task.scale)
    selection = search.study.selection
    steps = _steps_of(adaptation, search, baseline, plain)
    overspent = changed_outside_bullets(judge, second.judge) if selection else None
    texts = TextFindings(search.refusal, overspent, no_guardrails="")
    if selection:
        texts = replace(texts, no_diff_budget="")
    held_out = HeldOut(examples, winner.judgments, baseline.judgments, judge.task.scale)
    gate = check_gate(GateEvidence(winner.figures, compared, held_out, texts=texts), config.rules)
    proven = with_evidence(winner, baseline, compared, adaptation.dataset, made_by)
    return Proof(baseline, proven, compared, gate, openings, steps, overspent, calibration)


def _open_test(adaptation: Adaptation) -> tuple[int, tuple[Example, ...]]:
    """How often the split was opened, this time counted, and the examples to compare on."""
    run, dataset, limit = adaptation.run, adaptation.dataset, adaptation.config.limit
    openings = count_opening(dataset, "test", run.ledger, "optimize", run.folder.path)
    test = dataset.by_split["test"]
    examples = draw_examples(test, limit or None)
    if len(examples) < len(test):
        run.progress.note(f"comparing on {len(examples)} of {len(test)} held-out test examples; --limit 0 takes all")
    return openings, examples


def _baseline_of(adaptation: Adaptation) -> Release:
    return Release(name=adaptation.judge.task.name, judge=adaptation.judge)


def _child_of(first: Release, program: Program) -> Release:
    judge = first.judge.model_copy(update={"program": program})
    return Release(name=first.name, judge=judge, parents=(first.digest,))


def _steps_of(adaptation: Adaptation, search: Search, baseline: Measured, plain: Measured) -> list[HeldOutStep]:
    """The steps of a choice of bullets on the same examples; none of another search."""

    def measure_step(number: int, program: Program) -> Measured:
        release = _child_of(baseline.release, program)
        return adaptation.measurer.measure(release, baseline.examples, f"step {number} on the same examples")

    selection = search.study.selection
    scale = adaptation.judge.task.scale
    return measure_steps(selection.steps if selection else (), (baseline, plain), measure_step, scale)
