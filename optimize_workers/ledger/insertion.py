"""Insertion of many rows where the first one of a key stays, in the words of both databases.

The statement goes to the driver as text and tuples: SQLAlchemy's own way of preparing rows takes longer than SQLite
takes to store them. What its column types would do on the way in, `escaped` and `storable_time` do here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table

from optimize_workers.ledger.schema import UtcTime

_PLACEHOLDERS = {"sqlite": "?", "postgresql": "%s"}


def insert_new(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> int:
    """Insert the rows whose key is new; returns how many those were.

    Args: rows with a storable value for every column but `id`, in the order of the table.
    """
    if not rows:
        return 0
    return connection.exec_driver_sql(_statement(table, connection.dialect.name), list(rows)).rowcount


def storable_time(connection: Connection, moment: datetime) -> Any:
    """A moment as the driver takes it."""
    encode = UtcTime().bind_processor(connection.dialect)
    return encode(moment) if encode else moment


@cache
def _statement(table: Table, dialect: str) -> str:
    names = [column.name for column in table.c if column.name != "id"]
    places = ", ".join(_PLACEHOLDERS[dialect] for _ in names)
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places}) ON CONFLICT DO NOTHING"
