"""The end of an adaptation: the run's files, the registry, MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cluster.adapting.config import OptimizeConfig
from cluster.adapting.proof import Proof
from cluster.adapting.search import Search
from cluster.adapting.waterfall import selection_as_dict
from cluster.gating.record import record_of
from cluster.measuring.measure import Measured
from cluster.registry.card import model_card
from cluster.registry.store import Registry
from cluster.report.course import course_of
from cluster.report.html import FIGURES, REPORT, write_report
from cluster.report.record import BASELINE_FILE
from cluster.runs.folder import RunFolder
from cluster.runs.versions import made_with
from optimize_workers.dataset.splits import Dataset
from optimize_workers.evidence.ceiling import human_ceiling
from optimize_workers.evidence.luck import selection_luck
from optimize_workers.statistics.comparison import compare_fully


class Adapted(NamedTuple):
    """A search and its proof."""

    search: Search
    proof: Proof


def finish_adaptation(
    adapted: Adapted,
    dataset: Dataset,
    folder: RunFolder,
    registry: Registry,
    config: OptimizeConfig,
    more_arms: Sequence[tuple[str, Measured]] = (),
    command: str = "optimize",
) -> dict[str, Any]:
    """Write the run's files, register the winner, log to MLflow; returns the content of `result.json`.

    `more_arms` are further judges measured on the same examples; they stand in `judgments.parquet` and the report;
    `command` is what the gate's record names.
    """
    search, proof = adapted
    release = proof.winner.release
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
        "release": release.id,
        "gate": proof.gate.as_dict(),
        **made_with(),
    }
    if proof.calibration:
        result["calibration"] = proof.calibration
    if search.study.selection:
        result |= selection_as_dict(search.study.selection, proof.steps, proof.overspent)
    arms = [("baseline", proof.baseline), ("winner", proof.winner), *more_arms]
    folder.write_text(BASELINE_FILE, proof.baseline.release.to_json())
    folder.write_text("release.json", release.to_json())
    folder.write_judgments([(arm, m.release.id, m.judgments, m.examples) for arm, m in arms])
    write_report(folder, result)
    baseline = proof.baseline.release
    if baseline.digest != release.digest:
        registry.register(baseline)  # so that a later gate, or a reader, finds what it was made from
    against = (baseline.id, "the baseline")
    record = record_of(command, proof.gate, proof.winner, dataset, against, proof.test_openings)
    entry = registry.register(release, gate=record)
    folder.write_text("model_card.md", model_card(entry, [baseline]))
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
        [folder.path / name for name in ("release.json", REPORT, FIGURES, "candidates.jsonl")],
        over_calls=[(step.calls, step.figures) for step in course_of(search.study.trials)],
    )
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
