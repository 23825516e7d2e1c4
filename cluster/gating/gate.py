"""`gate`: a release held against the rules on the test split, the answer kept beside it in the registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cluster.endpoint.judges import JudgeToRun, choice_for, reach_model
from cluster.gating.config import GateRunConfig
from cluster.gating.output import Gated, register_gated, result_of, write_run
from cluster.gating.reference import Reference, findings_of, reference_of
from cluster.gating.side_by_side import Asking, MeasuredSide, Side, measure_sides
from cluster.progress import Progress
from cluster.registry import Registry, lineage_of, resolve_release
from cluster.runs.run import begin_run, check_out, count_opening, open_ledger, planned_run
from judge_serve.judging.judge_call import calls_of, num_samples_of
from judge_serve.judging.release import Release
from judge_serve.judging.task import Example
from judge_serve.serving.home import home
from optimize_workers.dataset.splits import Dataset, draw_examples, load_dataset
from optimize_workers.evidence.gate.adversarial import Perturbed, perturb
from optimize_workers.evidence.gate.check import check_gate
from optimize_workers.evidence.gate.evidence import GateEvidence, HeldOut, TextFindings
from optimize_workers.evidence.gate.rating_shift import rating_shifts
from optimize_workers.statistics.comparison import compare


class _Named(NamedTuple):
    """What the config names, read and checked; nobody is asked for it.

    `pairs` are the perturbed ones, None where they were not asked for.
    """

    sides: list[Side]
    reference: Reference
    dataset: Dataset
    examples: tuple[Example, ...]
    pairs: list[Perturbed] | None
    registry: Registry

    @property
    def release(self) -> Release:
        """The release that the gate is asked about."""
        return self.sides[-1].release


def _read_named(config: GateRunConfig, *, read_only: bool = False) -> _Named:
    if config.out is not None:
        check_out(config.out, config.saved(), resume=config.resume)
    registry = Registry(home(), read_only=read_only)
    release = resolve_release(config.release, registry).release
    reference = reference_of(release, config.against, registry)
    sides = _sides(release, reference, config)  # names are refused before anything is read
    scale = release.judge.task.scale
    dataset = load_dataset(config.data, scale)
    dataset.require_split("test")
    examples = draw_examples(dataset.by_split["test"], config.limit)
    pairs = perturb(examples, scale, per_kind=config.adversarial_examples) if config.adversarial else None
    return _Named(sides, reference, dataset, examples, pairs, registry)


def plan_gate(config: GateRunConfig) -> dict[str, Any]:
    """What would be judged and held against what, as far as that is known before anybody is asked."""
    named = _read_named(config, read_only=True)
    items = [*named.examples, *(pair.example for pair in named.pairs or ())]
    calls = {side.name: num_samples_of(calls_of(side.release.judge, items)) for side in named.sides}
    return {
        "data": {**named.dataset.as_dict(), "pairs": len(named.examples), "perturbed": len(named.pairs or ())},
        **JudgeToRun(named.release, named.sides[-1].choice).as_dict(),
        "gate": {
            "against": named.reference.words,
            "changed_limits": config.rules.model_dump(exclude_defaults=True),
        },
        "judge_calls": {**calls, "at_most": sum(calls.values())},
        **planned_run(config.out, resume=config.resume),
    }


def run_gate(config: GateRunConfig, progress: Progress) -> dict[str, Any]:
    """Measure a release and its reference on the test split, check the rules; returns the content of `result.json`."""
    named = _read_named(config)
    sides, reference, dataset, examples, pairs, registry = named
    release = named.release
    alone = "" if reference.release else "no other judge, constant and absolute rules only: "
    progress.note(f"release {release.id} is held against {alone}{reference.words}")
    ancestors = lineage_of(release, registry)
    findings = findings_of(release, ancestors, dataset)
    sides = _reached(sides, progress)
    with open_ledger() as ledger:
        run = None
        if config.out is not None:
            run = begin_run("gate", config.out, config.saved(), ledger, progress, resume=config.resume)
        openings = count_opening(dataset, "test", ledger, "gate", config.out or release.id)
        note_model = run.note_model if run is not None else lambda model: None
        asking = Asking(ledger, progress, note_model, config.max_not_judged, fresh=config.asks_again)
        measured = measure_sides(sides, examples, pairs or [], asking)
    gated = _checked(measured, pairs, reference, findings, config)
    result = result_of(gated, reference, dataset, openings)
    card = register_gated(registry, gated, reference, dataset, openings, ancestors)
    if run is not None:
        write_run(run, gated, result, card)
    return result


def _sides(release: Release, reference: Reference, config: GateRunConfig) -> list[Side]:
    choice = choice_for(release, config.model).with_max_in_flight(config.max_in_flight)
    sides = [Side("winner", release, choice)]
    if reference.release is not None:
        is_same = reference.release.judge.model == release.judge.model
        sides.insert(0, Side("baseline", reference.release, choice if is_same else choice_for(reference.release)))
    return sides


def _reached(sides: Sequence[Side], progress: Progress) -> list[Side]:
    """The sides, once their endpoints were asked what they are, each once."""
    reached: list[Side] = []
    for side in sides:
        same = next((one.choice for one in reached if one.choice.address == side.choice.address is not None), None)
        choice = same if same and same.identity.name == side.choice.identity.name else side.choice
        reached.append(side._replace(choice=reach_model(side.release, choice, progress)))
    return reached


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
