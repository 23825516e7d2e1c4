"""What the ledger survives, and how it fails where it does not."""

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from optimize_workers.ledger import Ledger, LedgerError, database
from optimize_workers.ledger.database import Database
from optimize_workers.ledger.writer import MAX_WAITING
from tests.contract.ledger.keys import FULL, key_of, numbered


def test_what_was_added_is_stored_without_a_flush(url, ledger):
    other = Ledger(url)
    ledger.add(numbered(1), revision="r")
    deadline = time.monotonic() + 30
    while not other.find([key_of(1)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert other.find([key_of(1)])
    other.close()


def test_closing_stores_what_waits(url):
    first = Ledger(url)
    first.add(numbered(*range(5_000)), revision="r")
    first.close()
    second = Ledger(url)
    assert second.stats()["judgments"] == 5_000
    second.close()


def test_a_killed_writer_leaves_a_readable_store_with_all_that_it_flushed(url):
    command = [sys.executable, "-m", "tests.contract.ledger.processes", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "flushed\n"
        time.sleep(0.2)  # in the middle of some transaction
        writer.send_signal(signal.SIGKILL)
    ledger = Ledger(url)
    assert len(ledger.find([key_of(n) for n in range(500)])) == 500
    ledger.add(numbered(10**9), revision="r")  # and the store can be written
    ledger.flush()
    ledger.close()


def test_a_store_that_was_broken_behind_our_back_fails_the_next_call(ledger, behind):
    behind("DROP TABLE judgments")
    ledger.add(numbered(1), revision="r")
    for call in (ledger.flush, lambda: ledger.add(numbered(2), revision="r"), lambda: ledger.find([key_of(1)])):
        with pytest.raises(
            LedgerError, match=r"the ledger .* cannot be (written|read) \(.*judgments.*\); check its disk"
        ):
            call()
    ledger.close()  # who was told need not be told again


def test_closing_tells_of_a_failure_that_nobody_was_told_of(ledger, behind):
    behind("DROP TABLE judgments")
    ledger.add(numbered(1), revision="r")
    with pytest.raises(LedgerError, match="cannot be written"):
        ledger.close()


def test_a_caller_that_waits_for_room_is_told_of_the_failure(ledger, behind):
    behind("DROP TABLE judgments")
    with pytest.raises(LedgerError, match="cannot be written"):
        ledger.add(numbered(*range(3 * MAX_WAITING)), revision="r")


def test_a_value_that_no_column_takes_is_told_of(ledger):
    ledger.add([(key_of(1), replace(FULL, prompt_tokens=10**30))], revision="r")
    with pytest.raises(LedgerError):
        ledger.flush()


def test_nothing_is_added_to_a_closed_ledger(url):
    ledger = Ledger(url)
    ledger.close()
    with pytest.raises(LedgerError, match="the ledger is closed"):
        ledger.add(numbered(1), revision="r")


def test_a_ledger_is_closed_twice_without_harm(url):
    ledger = Ledger(url)
    ledger.add(numbered(1), revision="r")
    ledger.close()
    ledger.close()


@pytest.mark.parametrize(
    "damage",
    ["mode = 'telepathy'", "invalid_reason = 'bored', rating = NULL", "rating = NULL", "invalid_reason = 'refusal'"],
)
def test_a_damaged_judgment_is_an_error_and_no_judgment(ledger, behind, damage):
    ledger.add(numbered(1), revision="r")
    ledger.flush()
    behind(f"UPDATE judgments SET {damage}")
    with pytest.raises(LedgerError, match=f"the judgment of key {key_of(1).hex()} is damaged"):
        ledger.find([key_of(1)])


# --- trouble that passes ---


@pytest.fixture
def impatient(sqlite_url, monkeypatch):
    """Two ledgers that wait 50 ms for a lock: one tries again for 20 seconds, the other one for 0.2."""
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    opened = [Ledger(sqlite_url, patience_s=patience_s) for patience_s in (20.0, 0.2)]
    yield opened
    for ledger in opened:
        ledger.close()


def test_a_lock_of_sqlite_that_passes_is_waited_for_and_another_one_is_told_of(sqlite_url, impatient):
    patient, hasty = impatient
    other = Database(sqlite_url)
    is_locked, may_go = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as thread:
        locking = thread.submit(other.write, lambda connection: (is_locked.set(), may_go.wait(60)))
        assert is_locked.wait(10)
        with pytest.raises(LedgerError, match="database is locked"):
            hasty.record_run("out", "evaluate")
        patient.add(numbered(1), revision="r")
        time.sleep(0.3)  # several tries of the writer
        assert patient.find([key_of(1)]) == {}  # readers do not wait
        may_go.set()
        assert locking.result() == (None, True)
    patient.flush()
    assert set(patient.find([key_of(1)])) == {key_of(1)}
    other.close()


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_connection_that_the_server_dropped_is_made_again(ledger, behind):
    ledger.add(numbered(1), revision="r")
    ledger.flush()
    behind(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert set(ledger.find([key_of(1)])) == {key_of(1)}
    ledger.add(numbered(2), revision="r")
    ledger.flush()
    assert ledger.stats()["judgments"] == 2
