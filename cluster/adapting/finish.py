"""The end of an adaptation: the run's files, the registry, MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cluster.adapting.adaptation import Adaptation
from cluster.adapting.evidence import Proof
from cluster.adapting.search import Search
from cluster.adapting.waterfall import selection_as_dict
from cluster.measuring.measure import JudgedGroup
from cluster.registry import Registry
from cluster.registry.answer import Asked, record_of, register_answered
from cluster.report import BASELINE_FILE, FIGURES, REPORT, course_of, write_report
from cluster.runs.run import Run
from optimize_workers.dataset.splits import Dataset
from optimize_workers.evidence.ceiling import human_ceiling
from optimize_workers.evidence.luck import selection_luck
from optimize_workers.statistics.comparison import compare_fully

PROOF_FILES = ("release.json", REPORT, FIGURES)  # that MLflow keeps


class Adapted(NamedTuple):
    """A search and its proof."""

    search: Search
    proof: Proof


def finish_adaptation(
    adaptation: Adaptation, adapted: Adapted, registry: Registry, more: Sequence[JudgedGroup] = ()
) -> dict[str, Any]:
    """Write the run's files, register the winner, log to MLflow; returns the content of `result.json`.

    `more` are further judges measured on the same examples; they stand in `judgments.parquet` and the report.
    """
    result = _result_of(adaptation, adapted)
    run, proof = adaptation.run, adapted.proof
    run.folder.write_text(BASELINE_FILE, proof.baseline.release.to_json())
    keep_proof(proof, adaptation.dataset, run, registry, result, more)
    _log(adaptation, adapted, registry)
    return result


def keep_proof(
    proof: Proof, dataset: Dataset, run: Run, registry: Registry, result: dict[str, Any], more: Sequence[JudgedGroup]
) -> None:
    """Write all files of a proof but `result.json`, and register the winner with what the gate said of it.

    Args:
        proof: the winner's release holds its evidence.
        dataset: what it was proven on.
        run: whose folder takes the files.
        registry: takes both releases.
        result: what will be `result.json`; the report shows it.
        more: further judgments of the run.
    """
    baseline, release = proof.baseline.release, proof.winner.release
    run.folder.write_release(release.to_json())
    run.folder.write_judgments([proof.baseline.group("baseline"), proof.winner.group("winner"), *more])
    write_report(run.folder, result)
    registry.register(baseline)  # so that a later gate, or a reader, finds what it was made from
    asked = Asked(run.command, dataset, (baseline.id, proof.role), proof.test_openings)
    record = record_of(asked, proof.gate, proof.winner.figures, proof.winner.examples)
    run.folder.write_text("model_card.md", register_answered(registry, release, record, [baseline]))


def _result_of(adaptation: Adaptation, adapted: Adapted) -> dict[str, Any]:
    (search, proof), config, dataset = adapted, adaptation.config, adaptation.dataset
    result = {
        "optimizer": config.optimizer,
        "seed": config.seed,
        "budget": config.budget,
        "calls": search.budget.used,
        "calls_saved": search.study.calls_saved,
        "cached": search.spending.judging.cached,
        "reflections": search.spending.reflections,
        "reflections_cached": search.spending.reflections_cached,
        "baseline": proof.baseline.as_dict(dataset, "test"),
        "winner": proof.winner.as_dict(dataset, "test"),
        "comparison": proof.comparison.as_dict(),
        **_evidence_of(adapted),
        "refusals": search.study.refusals,
        "test_openings": proof.test_openings,
        "release": proof.winner.release.id,
        "gate": proof.gate.as_dict(),
        **adaptation.run.made_with(),
    }
    if proof.calibration:
        result["calibration"] = proof.calibration
    if search.study.selection:
        result |= selection_as_dict(search.study.selection, proof.steps, proof.overspent)
    return result


def _evidence_of(adapted: Adapted) -> dict[str, Any]:
    """What stands beside the comparison in `result.json`: `differences`, `luck` and `human` where there are raters."""
    (search, proof), judge = adapted, adapted.proof.baseline.release.judge
    scale, examples = judge.task.scale, proof.winner.examples
    first, second = proof.baseline.judgments, proof.winner.judgments
    luck = selection_luck(
        search.study.trials,
        search.study.winner,
        judge.program,
        search.validation.examples,
        proof.winner.figures.nmse,
    )
    human = human_ceiling(examples, scale, {"baseline": first, "winner": second})
    return {
        "differences": compare_fully(first, second, examples, scale).as_dict(),
        "luck": luck.as_dict() if luck else None,
        **({"human": human.as_dict()} if human else {}),
    }


def _log(adaptation: Adaptation, adapted: Adapted, registry: Registry) -> None:
    (search, proof), config = adapted, adaptation.config
    release, folder = proof.winner.release, adaptation.run.folder
    registry.log_run(
        f"optimize {config.optimizer} {release.judge.model.name}",
        {"optimizer": config.optimizer, "seed": config.seed, "budget": config.budget, "release": release.id},
        {
            "baseline_nmse": proof.baseline.figures.nmse,
            "baseline_validity": proof.baseline.figures.validity,
            "winner_nmse": proof.winner.figures.nmse,
            "winner_validity": proof.winner.figures.validity,
            "calls": search.budget.used,
            "calls_saved": search.study.calls_saved,
            **{f"refused_{reason}": count for reason, count in search.study.refusals.items()},
        },
        [folder.path / name for name in (*PROOF_FILES, "candidates.jsonl")],
        over_calls=[(step.calls, step.figures) for step in course_of(search.study.trials)],
    )
