"""Bulk labeling, simple form: rows in, Parquet shards out, all columns passed through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cluster.endpoint.judges import JudgeToRun, choice_for, reach_model
from cluster.endpoint.meeting import meet
from cluster.endpoint.session import open_session
from cluster.labeling.config import LabelConfig
from cluster.labeling.reading import Row, passed_columns, read_rows
from cluster.labeling.shards import write_shard
from cluster.progress import Progress
from cluster.registry import Registered, Registry, check_gate_passed, check_unchanged, note_caveats, resolve_release
from cluster.runs.run import begin_run, check_out, open_ledger, planned_run
from judge_serve.judging.judge_call import JudgeCall, num_samples_of
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.release import Release
from judge_serve.serving.home import home
from optimize_workers.evaluation.answered_by import AnsweredBy
from optimize_workers.evaluation.layer import Layer
from optimize_workers.evaluation.tolerated import Tolerated, shown_items
from optimize_workers.evaluation.voted import Voted
from optimize_workers.evaluation.watched import Watched

SHARD_ROWS = 1_000


class _Named(NamedTuple):
    """What the config names, read and checked; nobody is asked for it."""

    registered: Registered
    judge: JudgeToRun
    rows: list[Row]
    registry: Registry


def _read_named(config: LabelConfig, *, read_only: bool = False) -> _Named:
    check_out(config.out, config.saved())
    registry = Registry(home(), read_only=read_only)
    registered = resolve_release(config.release, registry)
    check_gate_passed(registered, config.force)
    rows = read_rows(config.input)
    choice = choice_for(registered.release, config.model).with_max_in_flight(config.max_in_flight)
    return _Named(registered, JudgeToRun(registered.release, choice), rows, registry)


def plan_label(config: LabelConfig) -> dict[str, Any]:
    """What would be labelled with what, as far as that is known before anybody is asked."""
    registered, judge, rows, registry = _read_named(config, read_only=True)
    notes: list[str] = []
    note_caveats(registered, registry, notes.append)
    return {
        "input": {"path": config.input, "rows": len(rows), "shards": -(-len(rows) // SHARD_ROWS)},
        **judge.as_dict(),
        "gate": {"passed": registered.gate_passed, "override": None if registered.gate_passed else config.force},
        "judge_calls": {"at_most": num_samples_of(JudgeCall(judge.release.judge, item) for item, _ in rows)},
        **planned_run(config.out),
        "notes": notes,
    }


def run_label(config: LabelConfig, progress: Progress) -> dict[str, Any]:
    """Label a data set with a release; returns the content of `result.json`."""
    registered, (release, choice), rows, registry = _read_named(config)
    saved = config.saved()
    choice = reach_model(release, choice, progress)
    with open_session(choice, home(), progress) as session:
        with open_ledger() as ledger:
            met = meet(session.choice, ledger, progress)
            changed = check_unchanged(release, met.agreement_with(release), config.force)
            run = begin_run("label", config.out, saved, ledger, progress)
        override = config.force if changed or not registered.gate_passed else None
        if override:
            registry.record_override(registered, "label", override)
        pool = AnsweredBy(session.pool, met.identity)
        judged = label_rows(rows, release, pool, run.folder.path, progress, config.max_not_judged)
        result = judged | session.found()
    result["model"] = met.as_dict()
    result["override"] = override
    result["gate"] = shown_gate(registered, note_caveats(registered, registry, progress.note))
    return run.finish(result)


def shown_gate(registered: Registered, caveats: list[str]) -> dict[str, Any]:
    """What the gate has said of a release, for those who use its labels: on which data, and how it came about."""
    gate = registered.gate
    return {
        "passed": registered.gate_passed,
        "date": gate.date if gate else None,
        "reasons": list(gate.reasons) if gate else ["no gate has seen this release, or its answer cannot be read"],
        "fingerprint": gate.fingerprint if gate else None,
        "n": gate.n if gate else None,
        "against": gate.against if gate else None,
        "caveats": caveats,
    }


def label_rows(
    rows: Sequence[Row],
    release: Release,
    pool: Layer,
    out: Path,
    progress: Progress,
    max_not_judged: int | None = None,
) -> dict[str, Any]:
    """Judge rows and write shards; a shard appears whole, in the order of its rows.

    A row that was not judged has no rating and holds its cause.

    Raises: TooManyNotJudgedError if these are more than may be; the shards before it stay.
    """
    calls = [JudgeCall(release.judge, item) for item, _ in rows]
    num_samples = sum(call.num_samples for call in calls)
    progress.phase(f"labeling {len(rows)} pairs with release {release.id}", num_samples)
    num_items = len({(item.query_id, item.doc_id) for item, _ in rows})
    layers = Tolerated(Voted(Watched(pool, progress)), num_items, max_not_judged)
    shards: list[str] = []
    num_invalid = 0
    missing: list[Judgment] = []
    passed = passed_columns(rows)
    for number, start in enumerate(range(0, len(rows), SHARD_ROWS)):
        part = calls[start : start + SHARD_ROWS]
        judgments = [release.calibrated(judgment) for judgment in layers.judge(part)]
        num_invalid += sum(judgment.invalid_reason is not None for judgment in judgments)
        missing += [judgment for judgment in judgments if not judgment.is_judged]
        shards.append(str(write_shard(out, number, passed.slice(start, len(part)), judgments, release)))
    return {
        "release": release.id,
        "rows": len(rows),
        "invalid": num_invalid,
        "not_judged": len(missing),
        "not_judged_items": shown_items(missing),
        "shards": shards,
    }
