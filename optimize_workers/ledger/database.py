"""The database under the ledger: connections, transactions, patience with what passes by itself.

SQLite writes ahead (WAL): readers and one writer do not wait for each other, and a commit survives the death of the
process at once. Other writers wait up to `BUSY_S`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential, wait_random

from judge_serve.judging.errors import RefusedInputError
from optimize_workers.ledger.failures import LedgerError, is_transient, reason_of

BUSY_S = 30.0  # how long SQLite waits for another process's transaction
CONNECT_S = 10  # how long PostgreSQL may take to accept a connection
PATIENCE_S = 60.0  # how long a transaction is repeated after transient failures
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_DIALECTS = ("sqlite", "postgresql")
# Execution option: how a transaction on SQLite begins. Writers take the lock at once: one that read before would be
# refused where another one wrote meanwhile.
_BEGIN = "ledger_begin"
Result = TypeVar("Result")


class Database:
    """Transactions on the store at an SQLAlchemy URL, SQLite or PostgreSQL.

    Raises: RefusedInputError if the URL names no store that can be used here; nothing is connected yet.
    """

    def __init__(self, url: str, patience_s: float = PATIENCE_S) -> None:
        parsed = _parse(url)
        self.dialect = parsed.get_backend_name()
        self.place = _place(parsed)
        self._patience_s = patience_s
        self._reading = _sqlite_engine(parsed, min(BUSY_S, patience_s)) if self.is_sqlite else _server_engine(parsed)
        self._writing = self._reading.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})

    @property
    def is_sqlite(self) -> bool:
        """Whether the store is a file of this machine."""
        return self.dialect == "sqlite"

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """What `work` returns on a connection; it sees one state of the store and may run more than once."""
        return self._patiently(self._reading, work, "read")

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """What `work` returns; all it does is committed, or nothing is. It may run more than once."""
        return self._patiently(self._writing, work, "written")

    def once(self, work: Callable[[Connection], Result], *, is_writing: bool = False) -> Result:
        """As `read` and `write`, but not repeated and with the errors of SQLAlchemy."""
        with (self._writing if is_writing else self._reading).begin() as connection:
            return work(connection)

    def tidy(self, statement: str) -> None:
        """Run a statement of SQLite that no transaction may hold, such as VACUUM."""
        outside = self._reading.execution_options(**{_BEGIN: None})
        self._patiently(outside, lambda connection: connection.exec_driver_sql(statement).close(), "tidied")

    def file(self) -> Path:
        """The file of an SQLite store."""
        rows = self.once(lambda connection: connection.exec_driver_sql("PRAGMA database_list").all())
        return Path(next(str(row[2]) for row in rows if row[1] == "main"))

    def close(self) -> None:
        """Release connections."""
        self._reading.dispose()

    def _patiently(self, engine: Engine, work: Callable[[Connection], Result], done: str) -> Result:
        def once() -> Result:
            with engine.begin() as connection:
                return work(connection)

        retrying = Retrying(
            retry=retry_if_exception(is_transient),
            stop=stop_after_delay(self._patience_s),
            wait=wait_exponential(multiplier=0.05, max=2.0) + wait_random(0.0, 0.1),
            reraise=True,
        )
        try:
            return retrying(once)
        except SQLAlchemyError as error:
            raise LedgerError(
                f"the ledger {self.place} cannot be {done} ({reason_of(error)}); check its disk or server "
                "(RELEVANCE_JUDGE_STORE) and run the command again"
            ) from error


def refusal(reason: str) -> RefusedInputError:
    """The error for a store that cannot be opened."""
    return RefusedInputError(f"the store cannot be opened ({reason}); check RELEVANCE_JUDGE_STORE")


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: its text may show a part of the password
        raise refusal("not an SQLAlchemy URL") from error
    parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
    if parsed.drivername.partition("+")[0] not in _DIALECTS:
        raise refusal(f"expected a sqlite or postgresql URL, found {parsed.drivername}")
    if parsed.get_backend_name() == "sqlite" and not (parsed.database or "").removeprefix(":memory:"):
        raise refusal("a ledger in memory forgets everything; give a file as in sqlite:////folder/ledger.db")
    return parsed


def place_of(url: str) -> str:
    """Where a store is or would be, without user, password and options; opens nothing.

    Raises: RefusedInputError if the URL names no store that can be opened.
    """
    return _place(_parse(url))


def _place(url: URL) -> str:
    """Where the store is, without user, password and options."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    port = f":{url.port}" if url.port else ""
    return f"{url.host or 'localhost'}{port}/{url.database or ''}"


def _sqlite_engine(url: URL, busy_s: float) -> Engine:
    engine = _create(url, {})

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where we say so, schema changes included
        for setting in (
            f"busy_timeout={int(busy_s * 1_000)}",
            "synchronous=NORMAL",
            "secure_delete=ON",  # what is forgotten is overwritten, not only unlinked
            "cache_size=-65536",  # KiB; holds the index on keys of about a million judgments
        ):
            connection.execute(f"PRAGMA {setting}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        statement = connection.get_execution_options().get(_BEGIN, "BEGIN")
        if statement is not None:
            connection.exec_driver_sql(statement)

    return engine


def _server_engine(url: URL) -> Engine:
    timeout = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_S}
    return _create(url, timeout)


def _create(url: URL, connect_args: dict[str, Any]) -> Engine:
    try:
        return create_engine(url, connect_args=connect_args)
    except ImportError as error:
        raise refusal(f"no driver: {error}; install the extra 'postgres'") from error
    except SQLAlchemyError as error:
        raise refusal(reason_of(error)) from error
