"""The ledger: what must outlive a run. Today: every opening of a test split.

SQLite by default; `RELEVANCE_JUDGE_STORE` (an SQLAlchemy URL) moves it to a server.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Column, DateTime, Integer, MetaData, String, Table, create_engine, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from judge_serve.judging.errors import RefusedInputError

_metadata = MetaData()
_split_openings = Table(
    "split_openings",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("fingerprint", String(64), nullable=False, index=True),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("command", String(200), nullable=False),
    Column("run", String(500), nullable=False),
)


class Ledger:
    """A store at an SQLAlchemy URL, created on first use."""

    def __init__(self, url: str) -> None:
        try:
            self._engine = create_engine(url)
            _metadata.create_all(self._engine)
        except (SQLAlchemyError, ImportError) as error:  # ImportError: the database has no driver here
            reason = str(error).splitlines()[0]
            raise RefusedInputError(f"the store cannot be opened ({reason}); check RELEVANCE_JUDGE_STORE") from error

    def record_test_opening(self, fingerprint: str, command: str, run: str) -> None:
        """Note that somebody looked at a test split."""
        row = {"fingerprint": fingerprint, "opened_at": datetime.now(UTC), "command": command, "run": run[:500]}
        with self._engine.begin() as connection:
            connection.execute(insert(_split_openings).values(row))

    def count_test_openings(self, fingerprint: str) -> int:
        """How often the test split of this data was opened, this store's whole life."""
        query = select(func.count()).select_from(_split_openings).where(_split_openings.c.fingerprint == fingerprint)
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def close(self) -> None:
        """Release connections."""
        self._engine.dispose()
