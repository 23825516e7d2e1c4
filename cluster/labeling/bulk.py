"""Bulk labeling, simple form: rows in, Parquet shards out, all columns passed through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.endpoint.judges import choice_for
from cluster.endpoint.session import open_session
from cluster.labeling.config import LabelConfig
from cluster.labeling.reading import Row, passed_columns, read_rows
from cluster.labeling.shards import write_shard
from cluster.progress import Progress
from cluster.registry import Registered, Registry, check_gate_passed, note_caveats, resolve_release
from cluster.runs.run import begin_run, check_out, open_ledger
from judge_serve.judging.judge_call import JudgeCall
from judge_serve.judging.release import Release
from judge_serve.serving.home import home
from optimize_workers.evaluation.layer import Layer
from optimize_workers.evaluation.voted import Voted
from optimize_workers.evaluation.watched import Watched

SHARD_ROWS = 1_000


def run_label(config: LabelConfig, progress: Progress) -> dict[str, Any]:
    """Label a data set with a release; returns the content of `result.json`."""
    saved = config.model_dump(mode="json")
    check_out(config.out, saved)
    registry = Registry(home())
    registered = resolve_release(config.release, registry)
    check_gate_passed(registered, config.force)
    release = registered.release
    rows = read_rows(config.input)
    with open_session(choice_for(release, config.model), home(), progress) as session:
        with open_ledger() as ledger:
            run = begin_run("label", config.out, saved, ledger, progress)
        override = config.force if not registered.gate_passed else None
        if override:
            registry.record_override(registered, "label", override)
        result = label_rows(rows, release, session.pool, run.folder.path, progress)
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


def label_rows(rows: Sequence[Row], release: Release, pool: Layer, out: Path, progress: Progress) -> dict[str, Any]:
    """Judge rows and write shards; a shard appears whole, in the order of its rows."""
    calls = [JudgeCall(release.judge, item) for item, _ in rows]
    num_samples = sum(call.num_samples for call in calls)
    progress.phase(f"labeling {len(rows)} pairs with release {release.id}", num_samples)
    layers = Voted(Watched(pool, progress))
    shards: list[str] = []
    num_invalid = 0
    passed = passed_columns(rows)
    for number, start in enumerate(range(0, len(rows), SHARD_ROWS)):
        part = calls[start : start + SHARD_ROWS]
        judgments = [release.calibrated(judgment) for judgment in layers.judge(part)]
        num_invalid += sum(not judgment.is_valid for judgment in judgments)
        shards.append(str(write_shard(out, number, passed.slice(start, len(part)), judgments, release)))
    return {"release": release.id, "rows": len(rows), "invalid": num_invalid, "shards": shards}
