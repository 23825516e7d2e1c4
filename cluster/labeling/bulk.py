"""Bulk labeling, simple form: rows in, Parquet shards out, all columns passed through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.endpoint.judges import choice_for
from cluster.endpoint.session import open_session
from cluster.labeling.config import LabelConfig
from cluster.machine.stores import open_ledger
from cluster.progress import Progress
from cluster.registry.passing import check_gate_passed, note_caveats
from cluster.registry.store import Registered, Registry, resolve_release
from cluster.runs.folder import RunFolder
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.judge_call import JudgeCall
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.release import Release
from judge_serve.judging.task import Item
from judge_serve.judging.votes import sample_numbers
from judge_serve.serving.home import home
from optimize_workers.dataset.splits import load_items
from optimize_workers.evaluation.layer import Layer
from optimize_workers.evaluation.voted import Voted
from optimize_workers.evaluation.watched import Watched

SHARD_ROWS = 1_000
LABEL_SCHEMA: list[Any] = [
    pa.field("rating", pa.int32()),
    pa.field("expected_rating", pa.float64()),
    pa.field("explanation", pa.string()),
    pa.field("invalid_reason", pa.string()),
    pa.field("release", pa.string()),
    pa.field("model", pa.string()),
    pa.field("mode", pa.string()),
]


def run_label(config: LabelConfig, progress: Progress) -> dict[str, Any]:
    """Label a data set with a release; returns the content of `result.json`."""
    RunFolder.check(config.out)
    registry = Registry(home())
    registered = resolve_release(config.release, registry)
    check_gate_passed(registered, config.force)
    release = registered.release
    rows = load_items(config.input)
    if not rows:
        raise RefusedInputError(f"{config.input}: no rows")
    with open_session(choice_for(release, config.model), home(), progress) as session:
        folder = RunFolder.create(config.out, config.model_dump(mode="json"))
        with open_ledger() as ledger:
            ledger.record_run(str(folder.path.resolve()), "label")  # so that `ledger forget` finds the shards
        override = config.force if not registered.gate_passed else None
        if override:
            registry.record_override(registered, "label", override)
        result = label_rows(rows, release, session.pool, folder.path, progress)
    result["override"] = override
    result["gate"] = shown_gate(registered, note_caveats(registered, registry, progress))
    folder.write_json("result.json", result)
    return result


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


def label_rows(
    rows: list[tuple[Item, dict[str, Any]]], release: Release, pool: Layer, out: Path, progress: Progress
) -> dict[str, Any]:
    """Judge rows and write shards; a shard appears whole, in the order of its rows."""
    num_calls = len(rows) * len(sample_numbers(release.judge.votes))
    progress.phase(f"labeling {len(rows)} pairs with release {release.id}", num_calls)
    shards: list[str] = []
    num_invalid = 0
    passed = _passed_columns(rows)
    for number, start in enumerate(range(0, len(rows), SHARD_ROWS)):
        part = rows[start : start + SHARD_ROWS]
        judgments = _judge([item for item, _ in part], release, pool, progress)
        num_invalid += sum(not judgment.is_valid for judgment in judgments)
        path = out / f"labels-{number:05d}.parquet"
        scratch = out / f".{path.name}.tmp"
        pq.write_table(_table(passed.slice(start, len(part)), judgments, release), scratch)
        scratch.rename(path)
        shards.append(str(path))
    return {"release": release.id, "rows": len(rows), "invalid": num_invalid, "shards": shards}


def _judge(items: Sequence[Item], release: Release, pool: Layer, progress: Progress) -> list[Judgment]:
    """What a release answers to items, its votes combined and its calibration applied."""
    layers = Voted(Watched(pool, progress))
    return [release.calibrated(one) for one in layers.judge([JudgeCall(release.judge, item) for item in items])]


def _passed_columns(rows: list[tuple[Item, dict[str, Any]]]) -> pa.Table:
    """The input's columns with one type each, made before any pair is judged."""
    own = {field.name for field in LABEL_SCHEMA}
    columns = dict.fromkeys(name for _, values in rows for name in values)  # a row may lack some
    table = pa.table({"query_id": [i.query_id for i, _ in rows], "doc_id": [i.doc_id for i, _ in rows]})
    for name in columns:
        if name in table.column_names:
            continue
        try:
            column = pa.array([values.get(name) for _, values in rows])
        except (pa.ArrowException, UnicodeEncodeError) as error:
            raise RefusedInputError(f"column {name!r} cannot be passed through ({error}); give it one type") from error
        table = table.append_column(f"input_{name}" if name in own else name, column)
    return table


def _table(passed: pa.Table, judgments: list[Judgment], release: Release) -> pa.Table:
    labels = [
        {
            "rating": judgment.rating,
            "expected_rating": judgment.expected_rating,
            "explanation": judgment.explanation,
            "invalid_reason": judgment.invalid_reason and str(judgment.invalid_reason),
            "release": release.id,
            "model": judgment.model,
            "mode": str(judgment.mode),
        }
        for judgment in judgments
    ]
    table = pa.Table.from_pylist(labels, schema=pa.schema(LABEL_SCHEMA))
    for name in passed.column_names:
        table = table.append_column(name, passed[name])
    return table.select([*passed.column_names, *(field.name for field in LABEL_SCHEMA)])
