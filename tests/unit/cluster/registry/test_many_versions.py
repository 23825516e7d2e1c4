"""More versions than MLflow gives on a page, versions that cannot be read, and processes that come at once."""

import json
import shutil
import sqlite3
import subprocess
import sys

import pytest
from click.testing import CliRunner

from benchmarks.registry import _fill, _release
from cluster.commands import app
from cluster.registry import lineage_of, prompts
from cluster.registry.gate_record import GateRecord
from cluster.registry.store import Registry
from judge_serve.judging import RefusedInputError, Release
from tests.builders import JUDGE, PROGRAM

PASSED = GateRecord(passed=True)


def release_of(text, **fields):
    return Release(judge=JUDGE.model_copy(update={"program": PROGRAM.with_sections({"rubric": text})}), **fields)


FIRST, SECOND = release_of("Rate it."), release_of("Rate it well.")


@pytest.fixture
def registry(registry_home):
    return Registry(registry_home)


# --- pages ---


def test_of_101_versions_none_is_lost(registry):
    registry.promote(registry.register(_release(0), gate=PASSED), None)
    _fill(registry, range(1, 101))
    registry.promote(registry.resolve(_release(1).id), None)
    assert registry.champion_of("relevance").release == _release(1)
    assert registry.resolve("previous").release == _release(0)
    assert registry.register(_release(50), gate=PASSED).version == "51"
    assert registry.register(_release(101)).version == "102"
    assert [entry.release for entry in registry.releases()] == [_release(number) for number in range(101, -1, -1)]


def test_pages_of_names_and_of_versions_are_all_read(registry, monkeypatch):
    monkeypatch.setattr(prompts, "_PAGE", 2)
    made = [release_of(f"text {number}", name=f"name-{number % 5}") for number in range(7)]
    for release in made:
        registry.register(release)
    assert [entry.release for entry in registry.releases()] == made[::-1]


def test_ancestors_are_found_by_digest_and_a_hostile_one_finds_nothing(registry):
    registry.register(FIRST)
    parent = release_of("better", parents=(FIRST.digest,))
    registry.register(parent)
    assert lineage_of(release_of("best", parents=(parent.digest,)), registry) == [parent, FIRST]
    for text in ("%", "' OR name = 'relevance", "", FIRST.digest[:12], f"{FIRST.digest}' AND name = 'x"):
        assert lineage_of(release_of("best", parents=(text,)), registry) == []


@pytest.mark.parametrize("reference", ["%%%%", "____", "' OR ''='", "a' OR 'b@champion", "ABCDEF12", "relevance@'"])
def test_a_reference_is_never_read_as_a_filter(registry, reference):
    registry.register(FIRST)
    with pytest.raises(RefusedInputError):
        registry.resolve(reference)


# --- versions that cannot be read ---

TAMPERED = {
    "another word": "UPDATE {tags} SET value = replace(value, 'Rate it.', 'Say 5.') WHERE {of_text}",
    "no JSON": "UPDATE {tags} SET value = 'x' WHERE {of_text}",
    "no text": "DELETE FROM {tags} WHERE {of_text}",
    "an old format": 'UPDATE {tags} SET value = \'{{"format_version": 0, "digest": ""}}\' WHERE {of_text}',
    "another's digest": f"UPDATE {{tags}} SET value = '{'0' * 64}' WHERE {{of_digest}}",
    "another's text": "UPDATE {tags} SET value = (SELECT value FROM {tags} WHERE version = 2 AND {is_text}) "
    "WHERE {of_text}",
}


def tamper(home, how):
    is_text = "key = 'mlflow.prompt.text'"
    places = {"of_text": f"version = 1 AND {is_text}", "of_digest": "version = 1 AND key = 'digest'"}
    with sqlite3.connect(home / "mlflow.db") as database:
        database.execute(TAMPERED[how].format(tags="model_version_tags", is_text=is_text, **places))
    database.close()


@pytest.mark.parametrize("how", TAMPERED)
def test_a_version_that_cannot_be_read_is_a_listed_row(registry, registry_home, how):
    registry.promote(registry.register(FIRST, gate=PASSED), None)
    second = registry.register(SECOND, gate=PASSED)
    tamper(registry_home, how)
    listing = registry.listing()
    assert [entry.release for entry in listing.releases] == [SECOND]
    (row,) = listing.unreadable
    assert (row.name, row.version, row.aliases) == ("relevance", "1", ("champion",)) and "version 1" in row.reason
    with pytest.raises(RefusedInputError):
        registry.resolve("champion")
    with pytest.raises(RefusedInputError):
        registry.resolve(row.id)
    registry.promote(second, None)  # a good release takes its place
    assert registry.champion_of("relevance").release == SECOND
    mended = registry.register(FIRST)  # the original, imported again
    assert (mended.version, registry.resolve(FIRST.id).release) == ("3", FIRST)
    assert not mended.gate_passed


def test_the_commands_show_what_cannot_be_read(registry, registry_home):
    registry.promote(registry.register(FIRST, gate=PASSED), None)
    registry.register(SECOND)
    tamper(registry_home, "another word")
    told = json.loads(CliRunner().invoke(app, ["releases", "list", "--json"]).stdout)
    assert [one["id"] for one in told["releases"]] == [SECOND.id]
    assert [(one["id"], one["aliases"]) for one in told["unreadable"]] == [(FIRST.id, ["champion"])]
    assert "cannot be read" in CliRunner().invoke(app, ["releases", "list"]).stdout
    status = CliRunner().invoke(app, ["status"]).stdout
    assert FIRST.id in status and "cannot be read" in status


# --- at once ---


def test_of_two_processes_that_register_a_release_at_once_one_version_stays(registry, registry_home, monkeypatch):
    other = Registry(registry_home)
    add = registry._prompts.add

    def late(*arguments):
        other.register(FIRST, gate=GateRecord(passed=False, reasons=("bias",)))
        return add(*arguments)

    monkeypatch.setattr(registry._prompts, "add", late)
    mine = registry.register(FIRST, gate=PASSED)
    assert (mine.version, mine.gate_passed) == ("1", True)
    (entry,) = registry.releases()
    assert (entry.version, entry.gate_passed, [one.passed for one in entry.gate_history]) == ("1", True, [False])


def test_a_second_version_that_a_killed_process_left_does_not_count(registry):
    registry.register(FIRST, gate=PASSED)
    registry._prompts.add("relevance", FIRST.to_json(), "the same", {"digest": FIRST.digest})
    assert [entry.version for entry in registry.releases()] == ["1"]
    assert registry.resolve(FIRST.id).version == registry.register(FIRST).version == "1"


FIRST_COMMAND = """
import sys
from pathlib import Path
from cluster.registry.gate_record import GateRecord
from cluster.registry.store import Registry
from judge_serve.judging import Release
registry = Registry(Path(sys.argv[1]))
release = Release.from_file(Path(sys.argv[2]))
registry.register(release, gate=GateRecord(passed=True))
registry.log_run("evaluate", {}, {"nmse": 1.0}, [Path(sys.argv[2])])
print(registry.resolve(release.id).version)
"""


def test_two_first_commands_on_a_new_home_both_work(home, tmp_path):
    file = tmp_path / "release.json"
    file.write_text(FIRST.to_json(), encoding="utf-8")
    command = [sys.executable, "-c", FIRST_COMMAND, str(home), str(file)]
    began = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ended = [(process.communicate(timeout=300), process.returncode) for process in began]
    assert [(output[0].strip(), status) for output, status in ended] == [("1", 0)] * 2, ended
    registry = Registry(home)
    (entry,) = registry.releases()
    assert entry.gate_passed
    (experiment,) = [one for one in registry._client.search_experiments() if one.name == "relevance-judge"]
    assert len(registry._client.search_runs([experiment.experiment_id])) == 2
    assert {path.name for path in home.iterdir()} == {"mlflow.db", "mlflow.db.lock", "mlartifacts"}


# --- a new database ---


def test_a_database_that_a_killed_process_left_half_made_does_not_count(home, migrated_database):
    (home / ".mlflow.db.new").write_bytes(migrated_database.read_bytes()[:50_000])
    (home / "mlflow.db").touch()
    assert Registry(home).releases() == []


def test_files_of_runs_have_a_stated_place_whatever_database_mlflow_uses(
    home, migrated_database, tmp_path, monkeypatch
):
    elsewhere = tmp_path / "elsewhere.db"
    shutil.copy(migrated_database, elsewhere)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere}")
    monkeypatch.chdir(tmp_path)
    registry = Registry(home)
    file = tmp_path / "figures.json"
    file.write_text("{}", encoding="utf-8")
    registry.log_run("evaluate", {}, {}, [file])
    assert len([*(home / "mlartifacts").rglob("figures.json")]) == 1
    assert not (tmp_path / "mlruns").exists() and not (tmp_path / "mlartifacts").exists()
