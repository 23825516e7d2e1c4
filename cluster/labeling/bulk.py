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
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.release import Release
from judge_serve.judging.task import Item
from judge_serve.judging.votes import combine, sample_numbers
from judge_serve.serving.home import home
from optimize_workers.evaluation.plane import Pool

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
    with open_session(choice_for(release, config.model), home(), progress) as session, open_ledger() as ledger:
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
        "reasons": list(gate.reasons) if gate else ["no gate has seen this release"],
        "fingerprint": gate.fingerprint if gate else None,
        "n": gate.n if gate else None,
        "against": gate.against if gate else None,
        "caveats": caveats,
    }


def label_rows(rows: Sequence[Row], release: Release, pool: Pool, out: Path, progress: Progress) -> dict[str, Any]:
    """Judge rows and write shards; a shard appears whole, in the order of its rows."""
    num_calls = len(rows) * len(sample_numbers(release.judge.votes))
    progress.phase(f"labeling {len(rows)} pairs with release {release.id}", num_calls)
    shards: list[str] = []
    num_invalid = 0
    passed = passed_columns(rows)
    for number, start in enumerate(range(0, len(rows), SHARD_ROWS)):
        part = rows[start : start + SHARD_ROWS]
        judgments = _judge([item for item, _ in part], release, pool, progress)
        num_invalid += sum(not judgment.is_valid for judgment in judgments)
        shards.append(str(write_shard(out, number, passed.slice(start, len(part)), judgments, release)))
    return {"release": release.id, "rows": len(rows), "invalid": num_invalid, "shards": shards}


def _judge(items: Sequence[Item], release: Release, pool: Pool, progress: Progress) -> list[Judgment]:
    """What a release answers to items, its votes combined and its calibration applied."""
    judge, votes = release.judge, release.judge.votes
    numbers = sample_numbers(votes)
    samples = pool.judge(
        [(judge, item, number) for item in items for number in numbers],
        lambda _places, judgments: progress.judged(judgments),
        progress.waiting,
    )
    if votes is not None:
        count = votes.num_samples
        parts = [samples[start : start + count] for start in range(0, len(samples), count)]
        samples = [combine(part, votes.combine, judge.task.scale) for part in parts]
    return [release.calibrated(judgment) for judgment in samples]
