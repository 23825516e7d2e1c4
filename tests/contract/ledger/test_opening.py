"""Opening a store: a fresh one, one of an older and one of a newer version, and what is no store."""

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from judge_serve.judging import RefusedInputError
from optimize_workers.ledger import Ledger
from optimize_workers.ledger.database import Database
from optimize_workers.ledger.schema import metadata, split_openings
from optimize_workers.ledger.upgrade import MIGRATIONS, REVISIONS, VERSION_TABLE
from tests.contract.ledger.keys import key_of, numbered


@pytest.fixture
def database(url):
    opened = Database(url)
    yield opened
    opened.close()


def open_and_close(url):
    ledger = Ledger(url)
    ledger.close()


def test_the_steps_lead_to_exactly_the_tables_of_the_code(url, database):
    open_and_close(url)

    def differences(connection):
        options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    assert database.read(differences) == []


def test_every_step_is_named_in_order():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    steps = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert steps[::-1] == list(REVISIONS)


def test_a_store_from_before_there_were_steps_keeps_its_openings(url, database):
    database.write(lambda connection: split_openings.create(connection))
    row = {"fingerprint": "one", "opened_at": datetime.now(UTC), "command": "evaluate", "run": "out"}
    database.write(lambda connection: connection.execute(split_openings.insert(), row).close())
    ledger = Ledger(url)
    assert ledger.count_test_openings("one") == 1
    ledger.add(numbered(1), revision="r")
    ledger.flush()
    assert set(ledger.find([key_of(1)])) == {key_of(1)}
    ledger.close()


def test_a_store_of_a_newer_version_is_refused_and_left_alone(url, behind):
    open_and_close(url)
    behind(f"UPDATE {VERSION_TABLE} SET version_num = '0999'")
    advice = f"revision is '0999' and the last one known here is '{REVISIONS[-1]}'; update this project"
    with pytest.raises(RefusedInputError, match=advice):
        Ledger(url)
    assert behind(f"SELECT version_num FROM {VERSION_TABLE}") == [("0999",)]


def test_a_store_of_the_first_version_is_brought_along(url, behind):
    open_and_close(url)
    for table in ("judgments", "reflections", "reflection_documents", "run_folders", "review_events", "model_meetings"):
        behind(f"DROP TABLE {table}")
    behind(f"UPDATE {VERSION_TABLE} SET version_num = '0001'")
    ledger = Ledger(url)
    assert ledger.stats()["judgments"] == 0
    ledger.close()


def test_threads_that_open_a_fresh_store_at_once_all_succeed(url):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(open_and_close, [url] * 8))
    open_and_close(url)


def test_a_store_that_is_ready_opens_without_alembic(url):
    open_and_close(url)
    code = "import sys; from optimize_workers.ledger import Ledger; Ledger(sys.argv[1]).close(); "
    code += "assert 'alembic' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, url], check=True, timeout=60)


def test_opening_says_nothing(url, caplog, capfd):
    with caplog.at_level(logging.INFO):
        open_and_close(url)
    assert (caplog.records, capfd.readouterr()) == ([], ("", ""))


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_an_upgrade_that_fails_leaves_no_half_of_it(url, behind):
    behind("CREATE TABLE reflections (id INTEGER)")  # in the way of the second table of the second step
    with pytest.raises(RefusedInputError, match="table reflections already exists"):
        Ledger(url)
    assert behind("SELECT name FROM sqlite_master WHERE type = 'table'") == [("reflections",)]


@pytest.mark.parametrize(
    "address",
    [
        "no url",
        "nosuch://host/db",
        "sqlite:////no/such/folder/ledger.db",
        "sqlite://",
        "sqlite:///:memory:",
        "mssql+nodriver://host/db",
        "oracle://h/db",
        "mysql://h/db",
        "postgresql://user:s3cret@host:s3cret/db",
        "postgresql://user:s3cret@127.0.0.1:1/db",
        "postgresql+nodriver://user:s3cret@host/db",
    ],
)
def test_a_store_that_cannot_be_opened_is_refused_with_advice(address):
    with pytest.raises(
        RefusedInputError, match=r"store cannot be opened \(.*\); check RELEVANCE_JUDGE_STORE"
    ) as caught:
        Ledger(address)
    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_no_store_is_refused(tmp_path):
    (tmp_path / "ledger.db").write_text("no database " * 1_000)
    with pytest.raises(RefusedInputError, match="file is not a database"):
        Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_sqlite_writes_ahead(behind):
    assert behind("PRAGMA journal_mode") == [("wal",)]
    assert behind("PRAGMA synchronous") == [(1,)]
    assert behind("PRAGMA busy_timeout") == [(30_000,)]
