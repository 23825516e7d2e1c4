"""Parquet shards of labels: the input's columns passed through, the labels beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.release import Release

LABEL_SCHEMA: list[Any] = [
    pa.field("rating", pa.int32()),
    pa.field("expected_rating", pa.float64()),
    pa.field("explanation", pa.string()),
    pa.field("invalid_reason", pa.string()),
    pa.field("not_judged", pa.string()),
    pa.field("release", pa.string()),
    pa.field("model", pa.string()),
    pa.field("mode", pa.string()),
]


def write_shard(out: Path, number: int, passed: pa.Table, judgments: Sequence[Judgment], release: Release) -> Path:
    """Write a shard; it appears whole or not at all."""
    path = out / f"labels-{number:05d}.parquet"
    scratch = out / f".{path.name}.tmp"
    pq.write_table(_table(passed, judgments, release), scratch)
    scratch.rename(path)
    return path


def _table(passed: pa.Table, judgments: Sequence[Judgment], release: Release) -> pa.Table:
    labels = [
        {
            "rating": judgment.rating,
            "expected_rating": judgment.expected_rating,
            "explanation": judgment.explanation,
            "invalid_reason": judgment.invalid_reason and str(judgment.invalid_reason),
            "not_judged": judgment.cause,
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
