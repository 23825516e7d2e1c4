"""How the ledger fails: what passes by itself, and the error for what does not."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, TimeoutError

_SQLITE_BUSY, _SQLITE_LOCKED = 5, 6
# PostgreSQL classes and codes: connection lost; shutting down or starting; serialization and deadlock; full house
_PASSING_SQLSTATES = ("08", "57P01", "57P02", "57P03", "40001", "40P01", "53300")


class LedgerError(RuntimeError):
    """The store cannot be read or written; the message says what to do."""


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may succeed later: a lock, a deadlock, a connection that was dropped."""
    if isinstance(error, TimeoutError):  # all connections of this process are in use
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return (code & 0xFF) in (_SQLITE_BUSY, _SQLITE_LOCKED)  # the low byte is the primary code
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_PASSING_SQLSTATES)
    return type(error.orig).__name__ == "OperationalError" and type(error.orig).__module__.startswith("psycopg")


def reason_of(error: BaseException) -> str:
    """The first line of what the database said, without statement and parameters."""
    told = str(getattr(error, "orig", None) or error)
    return (told.splitlines() or [""])[0].strip() or type(error).__name__
