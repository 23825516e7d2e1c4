"""Review events as rows and back; they are added and read, and emptied only where a document is forgotten."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

from optimize_workers.ledger.failures import LedgerError
from optimize_workers.ledger.schema import review_events
from optimize_workers.library.reviews import EventKind, ReviewEvent

_FORGOTTEN = "{}"


def insert_review_events(connection: Connection, events: Sequence[ReviewEvent]) -> list[int]:
    """Store events in their order; returns the numbers that they were given."""
    numbers = []
    for event in events:
        row = {
            "run": event.run,
            "query_id": event.query_id,
            "doc_id": event.doc_id,
            "split": event.split,
            "kind": str(event.kind),
            "payload": json.dumps(dict(event.payload), ensure_ascii=False),
            "author": event.author,
            "done_at": event.at,
            "undoes": event.undoes,
        }
        (number,) = connection.execute(insert(review_events), row).inserted_primary_key or (0,)
        numbers.append(int(number))
    return numbers


def find_review_events(connection: Connection, run: str | None) -> list[ReviewEvent]:
    """The events of a run, or of all runs and imports, in their order."""
    query = select(review_events).order_by(review_events.c.id)
    if run is not None:
        query = query.where(review_events.c.run == run)
    return [_read(row) for row in connection.execute(query)]


def empty_review_events(connection: Connection, doc_id: str) -> int:
    """Empty the texts of a document's events; returns how many events it has."""
    emptied = update(review_events).where(review_events.c.doc_id == doc_id).values(payload=_FORGOTTEN)
    return connection.execute(emptied).rowcount


def _read(row: Any) -> ReviewEvent:
    try:
        kind, payload = EventKind(row.kind), json.loads(row.payload)
    except ValueError as error:
        raise LedgerError(f"review event {row.id} is damaged ({error}); restore the store from a backup") from error
    return ReviewEvent(
        run=row.run,
        query_id=row.query_id,
        doc_id=row.doc_id,
        split=row.split,
        kind=kind,
        payload=payload,
        author=row.author,
        at=row.done_at,
        number=row.id,
        undoes=row.undoes,
    )
