"""Upgrade: a store is brought to the tables of this version; one that is there already costs one query and no Alembic.

Each step is a module in `migrations/versions`. The table `ledger_version` names the last step that a store has taken;
it is not Alembic's usual `alembic_version`, because MLflow's tables may live in the same database.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from optimize_workers.ledger.database import Database, refusal
from optimize_workers.ledger.failures import LedgerError, reason_of

REVISIONS = ("0001", "0002", "0003", "0004")  # oldest first
VERSION_TABLE = "ledger_version"
MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_S = 120.0  # how long one process waits for another one that creates the store
_ADVISORY_LOCK = 0x6C65_6467_6572  # 'ledger'; any number that all processes of this project share


def open_store(database: Database) -> None:
    """Connect, and create or upgrade the tables where needed; several processes may do so at once.

    Raises: RefusedInputError if the store cannot be opened, or if a newer version of this project wrote it.
    """
    try:
        if not database.once(_is_ready):
            with _lock(database):
                _prepare(database)
    except SQLAlchemyError as error:
        raise refusal(reason_of(error)) from error
    except (LedgerError, OSError, Timeout) as error:
        raise refusal(str(error)) from error


def _is_ready(connection: Connection) -> bool:
    if connection.dialect.name == "sqlite":
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        if mode != "wal":
            return False
    return _revision(connection) == REVISIONS[-1]


def _revision(connection: Connection) -> str | None:
    """The last step that the store has taken; None for an empty one, or one from before there were steps."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()
    if revision is not None and revision not in REVISIONS:
        raise refusal(
            f"a newer version of this project wrote it, its revision is {str(revision)!r} and the last one known here "
            f"is {REVISIONS[-1]!r}; update this project or use another store"
        )
    return revision


def _lock(database: Database) -> AbstractContextManager[object]:
    """One process at a time; on PostgreSQL the lock is part of the transaction."""
    if not database.is_sqlite:
        return nullcontext()
    file = database.file()
    return FileLock(file.with_name(f"{file.name}.lock"), timeout=LOCK_S)


def _prepare(database: Database) -> None:
    if database.is_sqlite:
        database.tidy("PRAGMA journal_mode=WAL")
    database.write(_upgrade)


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _ADVISORY_LOCK})
    if _revision(connection) == REVISIONS[-1]:
        return  # another process was faster
    from alembic import command
    from alembic.config import Config

    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
