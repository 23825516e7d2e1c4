"""Upkeep of the store: what it holds, deleting what is old, export, forgetting a document."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, case, delete, func, select, text, update

from judge_serve.judging.parsing import storable
from optimize_workers.dataset.derived_ids import SEPARATOR, is_derived_from
from optimize_workers.ledger.database import Database
from optimize_workers.ledger.failures import LedgerError
from optimize_workers.ledger.reflections import delete_reflections
from optimize_workers.ledger.review_events import empty_review_events
from optimize_workers.ledger.schema import (
    judgments,
    metadata,
    reflection_documents,
    reflections,
    review_events,
    run_folders,
    split_openings,
)

logger = logging.getLogger(__name__)

EXPORT_ROWS = 5_000  # in memory at a time
_EXPORT_COLUMNS: list[Any] = [
    ("key", pa.binary(32)),
    ("query_id", pa.string()),
    ("doc_id", pa.string()),
    ("occurrence", pa.int32()),
    ("rating", pa.int32()),
    ("expected_rating", pa.float64()),
    ("explanation", pa.string()),
    ("invalid_reason", pa.string()),
    ("raw_reply", pa.string()),
    ("finish_reason", pa.string()),
    ("program", pa.string()),
    ("model", pa.string()),
    ("revision", pa.string()),
    ("mode", pa.string()),
    ("prompt_tokens", pa.int64()),
    ("completion_tokens", pa.int64()),
    ("latency_s", pa.float64()),
    ("stored_at", pa.timestamp("us", tz="UTC")),
    ("is_forgotten", pa.bool_()),
    ("digit_mass", pa.float64()),
    ("identity", pa.string()),
]
EXPORT_SCHEMA = pa.schema(_EXPORT_COLUMNS)


class Forgotten(NamedTuple):
    """How many judgments lost their texts, how many reflections were deleted, how many review events lost theirs."""

    judgments: int
    reflections: int
    review_events: int = 0


def stats(database: Database) -> dict[str, Any]:
    """What is stored, as plain JSON values."""
    told = database.read(_counted)
    return {"dialect": database.dialect, "store": database.place, **told, "size_bytes": _size(database)}


def prune(database: Database, before: datetime, model: str | None) -> int:
    """Delete what was stored before a time and give the space back; returns the number of rows."""

    def conditions(table: Any) -> Any:
        old = table.c.stored_at < before
        return old if model is None else old & (table.c.model == model)

    def delete_old(connection: Connection) -> int:
        num_reflections = delete_reflections(connection, conditions(reflections))
        return num_reflections + connection.execute(delete(judgments).where(conditions(judgments))).rowcount

    num_deleted = database.write(delete_old)
    if num_deleted:
        _tidy(database, "VACUUM")
    return num_deleted


def export(database: Database, path: Path) -> int:
    """All judgments in the order of their storing, a few thousand in memory at a time."""
    scratch = path.with_name(f".{path.name}.tmp")

    def write(connection: Connection) -> int:
        with pq.ParquetWriter(scratch, EXPORT_SCHEMA) as writer:
            num_rows = 0
            for batch in _batches(connection):
                writer.write_batch(batch)
                num_rows += batch.num_rows
            return num_rows

    try:
        num_rows = database.read(write)
        scratch.rename(path)
    finally:
        scratch.unlink(missing_ok=True)
    return num_rows


def forget(database: Database, doc_id: str) -> Forgotten:
    """Empty the texts of a document, and of what was made of it; figures stay, a judgment still answers for its key."""
    emptied = update(judgments).values(
        raw_reply="",
        explanation=case((judgments.c.explanation.is_(None), None), else_=""),
        is_forgotten=True,
    )
    shown = select(reflection_documents.c.key).where(reflection_documents.c.doc_id == doc_id)

    def empty(connection: Connection) -> Forgotten:
        ids = [doc_id, *(made for made in _derived_ids(connection) if is_derived_from(made, doc_id))]
        num_judgments = connection.execute(emptied.where(judgments.c.doc_id.in_(ids))).rowcount
        keys = list(connection.execute(shown).scalars())
        num_reflections = delete_reflections(connection, reflections.c.key.in_(keys))
        return Forgotten(num_judgments, num_reflections, empty_review_events(connection, doc_id))

    forgotten = database.write(empty)
    _tidy(database)
    return forgotten


def _derived_ids(connection: Connection) -> list[str]:
    """Ids of all documents that were made of others."""
    made = select(judgments.c.doc_id).where(judgments.c.doc_id.contains(SEPARATOR)).distinct()
    return list(connection.execute(made).scalars())


def _counted(connection: Connection) -> dict[str, Any]:
    columns = judgments.c
    sums = (
        func.count(),
        func.count(columns.invalid_reason),
        func.sum(case((columns.is_forgotten, 1), else_=0)),
        func.sum(columns.prompt_tokens),
        func.sum(columns.completion_tokens),
    )
    names = ("judgments", "invalid", "forgotten", "prompt_tokens", "completion_tokens")
    groups = connection.execute(
        select(columns.model, columns.mode, *sums)
        .group_by(columns.model, columns.mode)
        .order_by(*columns["model", "mode"])
    )
    by_model = [
        {"model": model, "mode": mode, **dict(zip(names, map(int, values), strict=True))}
        for model, mode, *values in groups
    ]
    first, last = connection.execute(select(func.min(columns.stored_at), func.max(columns.stored_at))).one()
    written = connection.execute(
        select(
            func.count(), func.sum(reflections.c.prompt_tokens), func.sum(reflections.c.completion_tokens)
        ).select_from(reflections)
    ).one()
    return {
        **{name: sum(group[name] for group in by_model) for name in names},
        "by_model": by_model,
        "reflections": written[0],
        "reflection_prompt_tokens": int(written[1] or 0),
        "reflection_completion_tokens": int(written[2] or 0),
        "runs": _count(connection, run_folders),
        "review_events": _count(connection, review_events),
        "test_openings": _count(connection, split_openings),
        "first_stored_at": first and first.isoformat(),
        "last_stored_at": last and last.isoformat(),
    }


def _count(connection: Connection, table: Any) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _size(database: Database) -> int:
    """Bytes on disk: of the file and its write-ahead log, or of our tables with their indexes."""
    if database.is_sqlite:
        file = database.file()
        return sum(part.stat().st_size for part in (file, file.with_name(f"{file.name}-wal")) if part.exists())
    size = text("SELECT pg_total_relation_size(to_regclass(:name))")
    return database.read(
        lambda connection: sum(
            int(connection.execute(size, {"name": name}).scalar_one() or 0) for name in metadata.tables
        )
    )


def _batches(connection: Connection) -> Iterator[pa.RecordBatch]:
    columns = [judgments.c[name] for name in EXPORT_SCHEMA.names]
    query = select(*columns).order_by(judgments.c.id).execution_options(yield_per=EXPORT_ROWS)
    for rows in connection.execute(query).partitions():
        columns_of_rows = zip(*rows, strict=True)
        arrays = [_array(values, kind) for values, kind in zip(columns_of_rows, EXPORT_SCHEMA.types, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=EXPORT_SCHEMA)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array[Any]:
    try:
        return pa.array(values, type=kind)
    except UnicodeEncodeError:  # ids with lone surrogates, which no file takes
        return pa.array([value and storable(value) for value in values], type=kind)


def _tidy(database: Database, *statements: str) -> None:
    """Give freed space back and empty the write-ahead log, which would hold deleted texts until it is reused."""
    if not database.is_sqlite:
        return
    try:
        for statement in (*statements, "PRAGMA wal_checkpoint(TRUNCATE)"):
            database.tidy(statement)
    except LedgerError as error:  # the deletion itself is committed
        logger.warning("the store's file keeps what was deleted until it is pruned again: %s", error)
