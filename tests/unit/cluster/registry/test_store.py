"""The registry on MLflow and SQLite: releases once, aliases that move, and text that cannot be changed unseen."""

import sqlite3

import pytest

from cluster.registry.gate_record import GateRecord
from cluster.registry.store import Registry, resolve_release
from judge_serve.judging import RefusedInputError, Release
from tests.builders import JUDGE, PROGRAM


def release_of(text):
    program = PROGRAM.with_sections({"rubric": text})
    return Release(judge=JUDGE.model_copy(update={"program": program}))


FIRST, SECOND = release_of("Rate it."), release_of("Rate it well.")


PASSED = GateRecord(passed=True)


@pytest.fixture
def registry(registry_home):
    return Registry(registry_home)


def test_a_release_is_registered_once(registry):
    one = registry.register(FIRST)
    again = registry.register(FIRST, gate=PASSED)
    assert one.version == again.version
    assert [entry.release.digest for entry in registry.releases()] == [FIRST.digest]


def test_what_is_loaded_is_what_was_registered(registry):
    registry.register(FIRST)
    assert registry.resolve(FIRST.id).release == FIRST


def test_the_gate_result_is_kept_beside_the_release(registry):
    entry = registry.register(FIRST)
    assert not entry.gate_passed
    entry = registry.register(FIRST, gate=GateRecord(passed=False, reasons=("bias", "skill")))
    assert (entry.gate_passed, entry.tags["gate.reasons"]) == (False, "bias; skill")
    entry = registry.register(FIRST, gate=PASSED)
    assert (entry.gate_passed, entry.tags["gate.reasons"]) == (True, "none")


def test_references_find_their_release(registry, tmp_path):
    first = registry.register(FIRST, gate=PASSED)
    registry.register(SECOND, gate=PASSED)
    registry.promote(first, None)
    path = tmp_path / "release.json"
    path.write_text(SECOND.to_json(), encoding="utf-8")
    for reference, release in {
        FIRST.id: FIRST,
        FIRST.digest: FIRST,
        SECOND.digest[:6]: SECOND,
        "champion": FIRST,
        "relevance@champion": FIRST,
        str(path): SECOND,
    }.items():
        assert resolve_release(reference, registry).release == release, reference


@pytest.mark.parametrize(
    "reference", ["ffffffff", "", "abc", "challenger", "relevance@nobody", "nobody@champion", "@x"]
)
def test_an_unknown_reference_is_refused(registry, reference):
    registry.register(FIRST)
    with pytest.raises(RefusedInputError, match=r"is not in the registry|no release has the alias"):
        registry.resolve(reference)


def test_promoting_remembers_the_champion_before(registry):
    first = registry.register(FIRST, gate=PASSED)
    second = registry.register(SECOND, gate=PASSED)
    registry.promote(first, None)
    with pytest.raises(RefusedInputError, match="no release has the alias 'previous'"):
        registry.resolve("previous")
    registry.promote(second, "needed today")
    assert (registry.resolve("champion").release, registry.resolve("previous").release) == (SECOND, FIRST)
    (kept,) = registry.resolve("champion").overrides
    assert (kept.command, kept.reason) == ("deploy", "needed today")
    registry.promote(registry.resolve("previous"), None)
    assert (registry.resolve("champion").release, registry.resolve("previous").release) == (FIRST, SECOND)


def test_promoting_the_champion_again_forgets_nothing(registry):
    first = registry.register(FIRST, gate=PASSED)
    second = registry.register(SECOND, gate=PASSED)
    registry.promote(first, None)
    registry.promote(second, None)
    registry.promote(registry.resolve("champion"), None)
    assert (registry.resolve("champion").release, registry.resolve("previous").release) == (SECOND, FIRST)


def test_text_changed_in_the_database_is_refused(registry, registry_home):
    registry.register(FIRST, gate=PASSED)
    with sqlite3.connect(registry_home / "mlflow.db") as database:
        changed = database.execute(
            "UPDATE model_version_tags SET value = replace(value, 'Rate it.', 'Say 5.') WHERE value LIKE '%Rate it.%'"
        )
        assert changed.rowcount == 1
    database.close()
    with pytest.raises(RefusedInputError, match="does not match its content"):
        registry.resolve(FIRST.id)


def test_the_address_is_shown_without_credentials(registry):
    registry.uri = "postgresql://user:secret@host/db"
    assert registry.shown_uri == "postgresql://host/db"


def test_a_run_is_logged_with_figures_and_files(registry, tmp_path):
    file = tmp_path / "release.json"
    file.write_text(FIRST.to_json(), encoding="utf-8")
    for _ in range(2):
        run_id = registry.log_run("optimize", {"seed": 0}, {"winner_nmse": 12.5}, [file])
    run = registry._client.get_run(run_id)
    assert run.data.metrics == {"winner_nmse": 12.5}
    assert [artifact.path for artifact in registry._client.list_artifacts(run_id)] == ["release.json"]


def test_figures_over_calls_are_read_back_in_order(registry):
    over_calls = [(40, {"val_nmse": 30.0, "best_val_nmse": 30.0}), (120, {"val_nmse": 31.0, "best_val_nmse": 30.0})]
    run_id = registry.log_run("optimize", {}, {"calls": 120}, [], over_calls)
    history = registry._client.get_metric_history(run_id, "val_nmse")
    assert [(metric.step, metric.value) for metric in history] == [(40, 30.0), (120, 31.0)]
    assert registry._client.get_run(run_id).data.metrics == {"calls": 120, "val_nmse": 31.0, "best_val_nmse": 30.0}


def test_the_later_figure_of_equal_calls_is_the_current_one(registry):
    run_id = registry.log_run("optimize", {}, {}, [], [(40, {"best": 30.0}), (40, {"best": 20.0})])
    assert registry._client.get_run(run_id).data.metrics == {"best": 20.0}


def test_more_figures_than_a_request_takes_are_all_logged(registry):
    over_calls = [(step, {"a": step, "b": -step}) for step in range(600)]
    run_id = registry.log_run("optimize", {}, {}, [], over_calls)
    for name, sign in {"a": 1, "b": -1}.items():
        history = registry._client.get_metric_history(run_id, name)
        assert [(metric.step, metric.value) for metric in history] == [(step, sign * step) for step in range(600)]
