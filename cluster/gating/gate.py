"""`gate`: a release held against the rules on the test split, the answer kept beside it in the registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cluster.endpoint.judges import choice_for
from cluster.gating.arms import Arm, MeasuredArm, measure_arms
from cluster.gating.config import GateRunConfig
from cluster.gating.output import Gated, record_of_gated, result_of, write_run
from cluster.gating.reference import Reference, findings_of, reference_of
from cluster.machine.stores import open_ledger
from cluster.progress import Progress
from cluster.registry.card import model_card
from cluster.registry.lineage import lineage_of
from cluster.registry.store import Registry, resolve_release
from cluster.runs.folder import RunFolder
from judge_serve.judging.release import Release
from judge_serve.serving.home import home
from optimize_workers.dataset.splits import draw_examples, load_dataset
from optimize_workers.evidence.gate.adversarial import Perturbed, perturb
from optimize_workers.evidence.gate.check import check_gate
from optimize_workers.evidence.gate.evidence import GateEvidence, HeldOut, TextFindings
from optimize_workers.evidence.gate.rating_shift import rating_shifts
from optimize_workers.statistics.comparison import compare


def run_gate(config: GateRunConfig, progress: Progress) -> dict[str, Any]:
    """Measure a release and its reference on the test split, check the rules; returns the content of `result.json`."""
    if config.out is not None:
        RunFolder.check(config.out, config.saved() if config.resume else None)
    registry = Registry(home())
    release = resolve_release(config.release, registry).release
    reference = reference_of(release, config.against, registry)
    arms = _arms(release, reference, config)
    scale = release.judge.task.scale
    dataset = load_dataset(config.data, scale)
    dataset.require_split("test")
    examples = draw_examples(dataset.by_split["test"], config.limit)
    pairs = perturb(examples, scale, per_kind=config.adversarial_examples) if config.adversarial else None
    alone = "" if reference.release else "no other judge, constant and absolute rules only: "
    progress.note(f"release {release.id} is held against {alone}{reference.words}")
    ancestors = lineage_of(release, registry.releases())
    findings = findings_of(release, ancestors, dataset)
    with open_ledger() as ledger:
        folder = None
        if config.out is not None:
            folder = RunFolder.create(config.out, config.saved(), resume=config.resume)
            ledger.record_run(str(folder.path.resolve()), "gate")
        opening = ("gate", str(config.out or release.id))
        dataset.open_split("test", lambda digest: ledger.record_test_opening(digest, *opening))
        openings = ledger.count_test_openings(dataset.fingerprint)
        measured = measure_arms(arms, examples, pairs or [], ledger, progress)
    gated = _checked(measured, pairs, reference, findings, config)
    result = result_of(gated, reference, dataset, openings)
    entry = registry.register(release, gate=record_of_gated(gated, reference, dataset, openings))
    if folder is not None:
        write_run(folder, gated, result, model_card(entry, ancestors))
    return result


def _arms(release: Release, reference: Reference, config: GateRunConfig) -> list[Arm]:
    choice = choice_for(release, config.model)
    arms = [Arm("winner", release, choice)]
    if reference.release is not None:
        is_same = reference.release.judge.model == release.judge.model
        arms.insert(0, Arm("baseline", reference.release, choice if is_same else choice_for(reference.release)))
    return arms


def _checked(
    arms: dict[str, MeasuredArm],
    pairs: Sequence[Perturbed] | None,
    reference: Reference,
    findings: TextFindings,
    config: GateRunConfig,
) -> Gated:
    """The gate's answer; `pairs` are None where the adversarial suite was not asked for."""
    own, other = arms["winner"], arms.get("baseline")
    winner, scale = own.measured, own.measured.release.judge.task.scale
    compared = compare(other.measured.judgments, winner.judgments, winner.examples, scale) if other else None
    shifts = None
    if pairs is not None:
        shifts = rating_shifts(pairs, own.rerated, winner.examples, other.rerated if other else None)
    held_out = HeldOut(winner.examples, winner.judgments, other.measured.judgments if other else None, scale)
    evidence = GateEvidence(winner.figures, compared, held_out, shifts, findings, reference.words)
    gate = check_gate(evidence, config.rules)
    return Gated(arms, compared, gate, pairs or (), shifts or ())
