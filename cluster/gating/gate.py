"""`gate`: a release held against the rules on the test split, the answer kept beside it in the registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cluster.endpoint.judges import choice_for
from cluster.gating.config import GateRunConfig
from cluster.gating.output import Gated, record_of_gated, result_of, write_run
from cluster.gating.reference import Reference, findings_of, reference_of
from cluster.gating.side_by_side import MeasuredSide, Side, measure_sides
from cluster.progress import Progress
from cluster.registry import Registry, lineage_of, resolve_release
from cluster.registry.answer import register_answered
from cluster.runs.run import begin_run, check_out, count_opening, open_ledger
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
        check_out(config.out, config.saved(), resume=config.resume)
    registry = Registry(home())
    release = resolve_release(config.release, registry).release
    reference = reference_of(release, config.against, registry)
    sides = _sides(release, reference, config)
    scale = release.judge.task.scale
    dataset = load_dataset(config.data, scale)
    dataset.require_split("test")
    examples = draw_examples(dataset.by_split["test"], config.limit)
    pairs = perturb(examples, scale, per_kind=config.adversarial_examples) if config.adversarial else None
    alone = "" if reference.release else "no other judge, constant and absolute rules only: "
    progress.note(f"release {release.id} is held against {alone}{reference.words}")
    ancestors = lineage_of(release, registry)
    findings = findings_of(release, ancestors, dataset)
    with open_ledger() as ledger:
        run = None
        if config.out is not None:
            run = begin_run("gate", config.out, config.saved(), ledger, progress, resume=config.resume)
        openings = count_opening(dataset, "test", ledger, "gate", str(config.out or release.id))
        measured = measure_sides(sides, examples, pairs or [], ledger, progress)
    gated = _checked(measured, pairs, reference, findings, config)
    result = result_of(gated, reference, dataset, openings)
    record = record_of_gated(gated, reference, dataset, openings)
    card = register_answered(registry, release, record, ancestors)
    if run is not None:
        write_run(run, gated, result, card)
    return result


def _sides(release: Release, reference: Reference, config: GateRunConfig) -> list[Side]:
    choice = choice_for(release, config.model)
    sides = [Side("winner", release, choice)]
    if reference.release is not None:
        is_same = reference.release.judge.model == release.judge.model
        sides.insert(0, Side("baseline", reference.release, choice if is_same else choice_for(reference.release)))
    return sides


def _checked(
    sides: dict[str, MeasuredSide],
    pairs: Sequence[Perturbed] | None,
    reference: Reference,
    findings: TextFindings,
    config: GateRunConfig,
) -> Gated:
    """The gate's answer; `pairs` are None where the adversarial suite was not asked for."""
    own, other = sides["winner"], sides.get("baseline")
    winner, scale = own.measured, own.measured.release.judge.task.scale
    compared = compare(other.measured.judgments, winner.judgments, winner.examples, scale) if other else None
    moved = None
    if pairs is not None:
        moved = rating_shifts(pairs, own.rerated, winner.examples, other.rerated if other else None)
    held_out = HeldOut(winner.examples, winner.judgments, other.measured.judgments if other else None, scale)
    evidence = GateEvidence(winner.figures, compared, held_out, moved, findings, reference.words)
    gate = check_gate(evidence, config.rules)
    return Gated(sides, compared, gate, pairs or (), moved or ())
