"""`gate`: a release held against the rules on the test split, the answer kept beside it in the registry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from cluster.arms import Arm, measure_arms
from cluster.configs import GateRunConfig
from cluster.gate_record import GateRecord
from cluster.gate_reference import Reference, TextFindings, findings_of, lineage_of, reference_of
from cluster.judge_choice import choice_for
from cluster.measure import Measured
from cluster.progress import Progress
from cluster.proving import comparison_as_dict, record_of
from cluster.registry import Registry
from cluster.report.html import write_report
from cluster.run_folder import RunFolder
from cluster.stores import open_ledger, resolve_release
from judge_serve.judging.release import Release
from judge_serve.serving.home import home
from optimize_workers.dataset import Dataset, draw_examples, load_dataset
from optimize_workers.evidence.comparison import Comparison, compare
from optimize_workers.evidence.gate import GateResult, HeldOut, check_gate


class Gated(NamedTuple):
    """A release and what it was held against, measured, and the answer."""

    winner: Measured
    reference: Measured | None
    comparison: Comparison | None
    gate: GateResult


def run_gate(config: GateRunConfig, progress: Progress) -> dict[str, Any]:
    """Measure a release and its reference on the test split, check the rules; returns the content of `result.json`."""
    if config.out is not None:
        RunFolder.check(config.out, config.saved() if config.resume else None)
    registry = Registry(home())
    release = resolve_release(config.release, registry).release
    reference = reference_of(release, config.against, registry)
    arms = _arms(release, reference, config)
    dataset = load_dataset(config.data, release.judge.task.scale)
    dataset.require_split("test")
    examples = draw_examples(dataset.by_split["test"], config.limit)
    held = (
        "is held against" if reference.release else "is held against no other judge, constant and absolute rules only:"
    )
    progress.note(f"release {release.id} {held} {reference.words}")
    findings = findings_of(release, lineage_of(release, registry.releases()), dataset)
    with open_ledger() as ledger:
        folder = None
        if config.out is not None:
            folder = RunFolder.create(config.out, config.saved(), resume=config.resume)
            ledger.record_run(str(folder.path.resolve()), "gate")
        opening = ("gate", str(config.out or release.id))
        dataset.open_split("test", lambda digest: ledger.record_test_opening(digest, *opening))
        openings = ledger.count_test_openings(dataset.fingerprint)
        measured = measure_arms(arms, examples, ledger, progress)
    gated = _checked(measured, reference, findings, config)
    result = _result(gated, reference, dataset, openings)
    registry.register(release, gate=_record(gated, reference, dataset))
    if folder is not None:
        _write(folder, gated, result)
    return result


def _record(gated: Gated, reference: Reference, dataset: Dataset) -> GateRecord:
    against = (reference.release.id, reference.role) if reference.release else None
    return record_of("gate", gated.gate, gated.winner, dataset, against)


def _arms(release: Release, reference: Reference, config: GateRunConfig) -> list[Arm]:
    choice = choice_for(release, config.model)
    arms = [Arm("winner", release, choice)]
    if reference.release is not None:
        is_same = reference.release.judge.model == release.judge.model
        arms.insert(0, Arm("baseline", reference.release, choice if is_same else choice_for(reference.release)))
    return arms


def _checked(
    measured: dict[str, Measured], reference: Reference, findings: TextFindings, config: GateRunConfig
) -> Gated:
    winner, other = measured["winner"], measured.get("baseline")
    scale = winner.release.judge.task.scale
    compared = compare(other.judgments, winner.judgments, winner.examples, scale) if other else None
    evidence = replace(
        findings.evidence,
        pairs=HeldOut(winner.examples, winner.judgments, other.judgments if other else None, scale),
        against=reference.words,
    )
    gate = check_gate(winner.figures, compared, config.rules, findings.refusal, findings.overspent, evidence)
    return Gated(winner, other, compared, gate)


def _result(gated: Gated, reference: Reference, dataset: Dataset, openings: int) -> dict[str, Any]:
    winner, other = gated.winner, gated.reference
    return {
        "release": winner.release.id,
        "name": winner.release.name,
        "against": {"release": reference.release.id if reference.release else None, "role": reference.role},
        "baseline": other.as_dict(dataset, "test") if other else None,
        "winner": winner.as_dict(dataset, "test"),
        "comparison": comparison_as_dict(gated.comparison) if gated.comparison else None,
        "test_openings": openings,
        "gate": gated.gate.as_dict(),
    }


def _write(folder: RunFolder, gated: Gated, result: dict[str, Any]) -> None:
    arms = [("baseline", gated.reference)] if gated.reference else []
    arms.append(("winner", gated.winner))
    folder.write_text("release.json", gated.winner.release.to_json())
    folder.write_judgments([(arm, one.release.id, one.judgments, one.examples) for arm, one in arms])
    write_report(folder, f"Gate of release {gated.winner.release.id}", arms, result)
    folder.write_json("result.json", result)  # written last: its presence means that the run is complete
