"""Stores for the contract of the ledger: SQLite, and a real PostgreSQL server that lives as long as the session."""

import itertools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import text

from optimize_workers.ledger import Ledger
from optimize_workers.ledger.database import Database
from tests.installable import missing

_OWNER = "postgres"  # PostgreSQL refuses to run as root


def _binaries():
    """The folder of the newest PostgreSQL server that is installed, or None."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = str(installed[-1]) if installed else shutil.which("initdb")
    return Path(found).parent if found else None


def _run(*command):
    as_owner = ["runuser", "-u", _OWNER, "--"] if os.geteuid() == 0 else []
    done = subprocess.run([*as_owner, *map(str, command)], capture_output=True, text=True, cwd="/", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def postgres():
    """The socket folder of a PostgreSQL server; user `ledger`, any password."""
    binaries = _binaries()
    if binaries is None:
        missing("a PostgreSQL server", "postgresql")
    folder = Path(tempfile.mkdtemp(prefix="ledger-pg-", dir="/tmp"))  # a socket's path has 107 bytes at most
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _OWNER)
        data = folder / "data"
        _run(binaries / "initdb", "-D", data, "-U", "ledger", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        settings = f"-F -c listen_addresses='' -c unix_socket_directories={folder}"
        _run(binaries / "pg_ctl", "start", "-w", "-D", data, "-l", folder / "log", "-o", settings)
        try:
            yield folder
        finally:
            _run(binaries / "pg_ctl", "stop", "-w", "-m", "immediate", "-D", data)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def new_database(postgres):
    """Makes empty databases; returns their plain `postgresql://` URLs, with a password in them."""
    import psycopg

    numbers = itertools.count()

    def make():
        name = f"store{next(numbers)}"
        with psycopg.connect(f"host={postgres} user=ledger dbname=postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql://ledger:s3cret@/{name}?host={postgres}"

    return make


@pytest.fixture
def sqlite_url(tmp_path):
    """An empty store in a file, in a folder of its own."""
    (tmp_path / "store").mkdir()
    return f"sqlite:///{tmp_path / 'store' / 'ledger.db'}"


@pytest.fixture
def postgres_url(new_database):
    """An empty store on a server."""
    return new_database()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request):
    """An empty store, of either kind; tests of one kind name it: `parametrize("url", ["sqlite"], indirect=True)`."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def ledger(url):
    """A ledger on that store."""
    opened = Ledger(url)
    yield opened
    opened.close()


@pytest.fixture
def behind(url):
    """Runs SQL on the store behind the ledger's back; returns the rows, if there are any."""
    store = Database(url)

    def run(statement):
        def execute(connection):
            result = connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []

        return store.write(execute)

    yield run
    store.close()
