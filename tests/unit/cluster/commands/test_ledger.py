"""The commands `ledger ...`: what they print, delete and refuse."""

import hashlib
import json
from dataclasses import replace
from datetime import timedelta

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cluster.commands import app
from cluster.commands.ledger import age_of
from cluster.commands.running import EXIT_FAILED, EXIT_REFUSED
from optimize_workers.ledger import Ledger
from optimize_workers.reflection import Reflection
from tests.builders import make_judgment

COMMANDS = ["stats", "prune", "export", "forget"]
KEYS = [hashlib.sha256(bytes([number])).digest() for number in range(3)]


def run(*arguments, status=0):
    done = CliRunner().invoke(app, ["ledger", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == status, done.output
    return done


def told(*arguments):
    """The result as JSON, alone on stdout."""
    done = run(*arguments, "--json")
    assert done.stderr == ""
    return json.loads(done.stdout)


def refused(*arguments, status=EXIT_REFUSED):
    """The one line that says why."""
    done = run(*arguments, status=status)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("relevance-judge: ")
    return lines[0]


@pytest.fixture
def filled(home):
    """A ledger with two judgments of document d1, one of d2, and a reflection that was shown d1."""
    ledger = Ledger(f"sqlite:///{home / 'ledger.db'}")
    doc_ids = ["d1", "d1", "d2"]
    judgments = [
        (key, replace(make_judgment(), doc_id=doc_id, prompt_tokens=1_000))
        for key, doc_id in zip(KEYS, doc_ids, strict=True)
    ]
    ledger.add(judgments, revision="r")
    ledger.add_reflection(KEYS[0], Reflection("t", 1, 1), model="scripted", revision="r", doc_ids=["d1"])
    ledger.close()
    return home


pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    assert "--json" in run(command, "--help").stdout


def test_the_group_without_a_command_is_wrong_usage():
    assert "Usage" in run(status=EXIT_REFUSED).output


@pytest.mark.usefixtures("filled")
def test_stats_tell_what_is_stored():
    result = told("stats")
    assert [result[name] for name in ("judgments", "prompt_tokens", "reflections")] == [3, 3_000, 1]
    shown = run("stats").stdout
    assert "scripted" in shown
    assert "3,000" in shown


def test_stats_of_a_fresh_home_are_zero():
    assert told("stats")["judgments"] == 0
    assert "reflections    0" in run("stats").stdout


@pytest.mark.usefixtures("filled")
def test_prune_deletes_by_age_and_model():
    assert told("prune", "--older-than", "1d")["deleted"] == 0
    assert told("prune", "--older-than", "1m", "--model", "other")["deleted"] == 0
    assert told("stats")["judgments"] == 3


def test_prune_reaches_what_is_old_enough(filled, monkeypatch):
    monkeypatch.setattr("cluster.commands.ledger.age_of", lambda _: timedelta(seconds=-1))  # a second from now
    assert told("prune", "--older-than", "1m")["deleted"] == 4
    assert told("stats")["judgments"] == 0


@pytest.mark.parametrize(
    ("text", "age"),
    [("30m", timedelta(minutes=30)), ("12h", timedelta(hours=12)), ("90d", timedelta(days=90))],
)
def test_an_age_has_minutes_hours_or_days(text, age):
    assert age_of(text) == age


@pytest.mark.parametrize("text", ["", "90", "d", "0d", "-1d", "1.5d", "90 d", "90w", "36501d", "999999999d", "\uff19d"])
def test_what_is_no_age_is_refused(text):
    assert "--older-than: expected an age such as 30m, 12h or 90d, found" in refused("prune", "--older-than", text)


def test_prune_without_an_age_is_refused():
    assert "--older-than: Field required" in refused("prune")


@pytest.mark.usefixtures("filled")
def test_export_writes_every_judgment(tmp_path):
    path = tmp_path / "out.parquet"
    assert told("export", path) == {"judgments": 3, "path": str(path)}
    assert pq.read_table(path)["doc_id"].to_pylist().count("d1") == 2


def test_export_does_not_overwrite(tmp_path):
    path = tmp_path / "out.parquet"
    path.write_text("mine")
    assert "exists; choose another name" in refused("export", path)
    assert path.read_text() == "mine"


def test_export_into_a_folder_that_is_not_there_is_refused(tmp_path):
    assert "cannot be written" in refused("export", tmp_path / "no" / "out.parquet")


def test_export_writes_parquet_only(tmp_path):
    assert "expected a name that ends in .parquet" in refused("export", tmp_path / "out.csv")


@pytest.mark.usefixtures("filled")
def test_forget_empties_the_texts_of_one_document():
    result = told("forget", "--doc-id", "d1")
    counts = {"judgments": 2, "reflections": 1, "review_events": 0}
    assert result == {"doc_id": "d1", **counts, "files_rewritten": [], "still_hold": []}
    assert told("stats")["forgotten"] == 2
    assert "judgments    1 emptied" in run("forget", "--doc-id", "d2").stdout


@pytest.mark.usefixtures("filled")
def test_forget_names_the_files_that_still_hold_the_text(filled, tmp_path):
    ledger = Ledger(f"sqlite:///{filled / 'ledger.db'}")
    ledger.record_run(str(tmp_path / "run"), "evaluate")
    ledger.close()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "examples.parquet").write_text("broken")
    done = run("forget", "--doc-id", "d1")
    assert f"still holds  {tmp_path / 'run' / 'examples.parquet'}" in done.stdout


@pytest.mark.parametrize(
    ("doc_id", "why"), [("nosuch", "neither in the ledger"), ("", "--doc-id: "), ("\ud800", "--doc-id: ")]
)
def test_forget_refuses_what_nothing_knows(doc_id, why):
    assert why in refused("forget", "--doc-id", doc_id)


@pytest.mark.parametrize(
    "arguments", [["stats"], ["prune", "--older-than", "1d"], ["export", "x"], ["forget", "--doc-id", "d"]]
)
def test_a_dry_run_prints_the_config_and_touches_nothing(home, arguments):
    assert isinstance(json.loads(run(*arguments, "--dry-run").stdout), dict)
    assert list(home.iterdir()) == []


def test_a_config_file_gives_the_settings(tmp_path):
    (tmp_path / "c.toml").write_text('older_than = "90d"\nmodel = "m"\n')
    done = run("prune", "--config", tmp_path / "c.toml", "--older-than", "12h", "--dry-run")
    assert json.loads(done.stdout) == {"older_than": "12h", "model": "m"}


def test_a_store_that_fails_is_one_line_and_status_1(filled, monkeypatch):
    import sqlite3

    connection = sqlite3.connect(filled / "ledger.db")
    connection.execute("DROP TABLE judgments")
    connection.close()
    assert "cannot be read (no such table: judgments)" in refused("stats", status=EXIT_FAILED)


def test_a_store_that_cannot_be_opened_is_refused(monkeypatch):
    monkeypatch.setenv("RELEVANCE_JUDGE_STORE", "postgresql://user:secret@127.0.0.1:1/db")
    line = refused("stats")
    assert "check RELEVANCE_JUDGE_STORE" in line
    assert "secret" not in line
