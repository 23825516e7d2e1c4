"""Reflections, the texts that a reflection model wrote, by key, with the documents that each was shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select

from optimize_workers.ledger.insertion import insert_new, storable_time
from optimize_workers.ledger.schema import escaped, reflection_documents, reflections
from optimize_workers.reflection import Reflection


class AddedReflection(NamedTuple):
    """A reflection on its way into the store; `doc_ids` are the documents that the model was shown."""

    key: bytes
    reflection: Reflection
    model: str
    revision: str
    doc_ids: tuple[str, ...]
    stored_at: datetime


def find_reflection(connection: Connection, key: bytes) -> Reflection | None:
    """The stored reflection of a key."""
    columns = reflections.c
    query = select(columns.text, columns.prompt_tokens, columns.completion_tokens).where(columns.key == key)
    row = connection.execute(query).one_or_none()
    return None if row is None else Reflection(*row)


def insert_reflections(connection: Connection, added: Sequence[AddedReflection]) -> None:
    """Store reflections; the first one of a key stays, and only its documents are noted."""
    for entry in sorted(added, key=lambda entry: entry.key):
        if insert_new(connection, reflections, [_row(connection, entry)]) != 1:
            continue
        documents = [{"key": entry.key, "doc_id": doc_id} for doc_id in dict.fromkeys(entry.doc_ids)]
        if documents:
            connection.execute(insert(reflection_documents), documents)


def delete_reflections(connection: Connection, condition: Any) -> int:
    """Delete the reflections that meet a condition on their table, and the notes on their documents."""
    fitting = select(reflections.c.key).where(condition)
    connection.execute(delete(reflection_documents).where(reflection_documents.c.key.in_(fitting)))
    return connection.execute(delete(reflections).where(condition)).rowcount


def _row(connection: Connection, entry: AddedReflection) -> tuple[Any, ...]:
    """In the order of the table's columns."""
    return (
        entry.key,
        escaped(entry.reflection.text),
        entry.reflection.prompt_tokens,
        entry.reflection.completion_tokens,
        escaped(entry.model),
        escaped(entry.revision),
        storable_time(connection, entry.stored_at),
    )
