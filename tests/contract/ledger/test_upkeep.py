"""Figures, pruning, export and forgetting, on SQLite and PostgreSQL."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from judge_serve.judging import Judgment
from optimize_workers.dataset.derived_ids import derived_id
from optimize_workers.ledger import LedgerError
from optimize_workers.ledger.upkeep import Forgotten
from optimize_workers.reflection import Reflection
from tests.builders import make_judgment
from tests.contract.ledger.keys import FULL, key_of, numbered, stored


def test_stats_of_an_empty_store(ledger):
    told = ledger.stats()
    assert (told["judgments"], told["by_model"], told["reflections"], told["runs"]) == (0, [], 0, 0)
    assert (told["first_stored_at"], told["last_stored_at"]) == (None, None)
    assert told["size_bytes"] > 0


def test_stats_count_by_model_and_mode_and_in_total(url, ledger):
    before = datetime.now(UTC)
    ledger.add(numbered(1, 2, prompt_tokens=100, completion_tokens=10), revision="r")
    ledger.add([(key_of(3), replace(FULL, prompt_tokens=7, completion_tokens=1))], revision="r")
    ledger.add([(key_of(4), make_judgment(None))], revision="r")
    ledger.add_reflection(key_of(5), Reflection("t", 50, 5), model="m", revision="r", doc_ids=[])
    ledger.record_run("out", "evaluate")
    ledger.record_test_opening("f", "evaluate", "out")
    told = ledger.stats()
    assert json.loads(json.dumps(told)) == told
    assert told["dialect"] == url.partition(":")[0]
    assert [told[name] for name in ("judgments", "invalid", "forgotten")] == [4, 1, 0]
    assert (told["prompt_tokens"], told["completion_tokens"]) == (207, 21)
    assert told["by_model"] == [
        {
            "model": "gemma-3-12b",
            "mode": "expected",
            "judgments": 1,
            "invalid": 0,
            "forgotten": 0,
            "prompt_tokens": 7,
            "completion_tokens": 1,
        },
        {
            "model": "scripted",
            "mode": "generate",
            "judgments": 3,
            "invalid": 1,
            "forgotten": 0,
            "prompt_tokens": 200,
            "completion_tokens": 20,
        },
    ]
    assert (told["reflections"], told["reflection_prompt_tokens"], told["reflection_completion_tokens"]) == (1, 50, 5)
    assert (told["runs"], told["test_openings"]) == (1, 1)
    first, last = (datetime.fromisoformat(told[name]) for name in ("first_stored_at", "last_stored_at"))
    assert before <= first <= last <= datetime.now(UTC)


def test_neither_figures_nor_errors_show_the_password(url, ledger, behind):
    assert "s3cret" not in json.dumps(ledger.stats())
    behind("DROP TABLE judgments")
    with pytest.raises(LedgerError) as caught:
        ledger.find([key_of(1)])
    assert "s3cret" not in str(caught.value)


def test_pruning_deletes_what_is_older_and_keeps_the_rest(ledger, behind):
    ledger.add(numbered(1, 2), revision="r")
    for number in (3, 4):
        ledger.add_reflection(key_of(number), Reflection("t", 1, 1), model="m", revision="r", doc_ids=["d"])
    ledger.flush()
    between = datetime.now(UTC)
    ledger.add(numbered(5), revision="r")
    assert ledger.prune(before=between) == 4
    assert set(ledger.find([key_of(n) for n in range(10)])) == {key_of(5)}
    assert ledger.find_reflection(key_of(3)) is None
    assert behind("SELECT count(*) FROM reflection_documents") == [(0,)]
    assert ledger.prune(before=between) == 0


def test_pruning_one_model_keeps_the_others(ledger):
    ledger.add(numbered(1), revision="r")
    ledger.add([(key_of(2), FULL)], revision="r")
    assert ledger.prune(before=datetime.now(UTC) + timedelta(hours=1), model=FULL.model) == 1
    assert set(ledger.find([key_of(1), key_of(2)])) == {key_of(1)}


def test_a_pruned_key_is_stored_again(ledger):
    ledger.add(numbered(1), revision="r")
    ledger.prune(before=datetime.now(UTC) + timedelta(hours=1))
    assert stored(ledger, FULL) == replace(FULL, cached=True)


def test_pruning_needs_a_time_zone(ledger):
    with pytest.raises(ValueError, match="has no time zone"):
        ledger.prune(before=datetime(2026, 1, 1))


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_pruning_sqlite_gives_the_space_back(ledger, tmp_path):
    ledger.add(numbered(*range(2_000), raw_reply="x" * 500), revision="r")
    before = ledger.stats()["size_bytes"]
    ledger.prune(before=datetime.now(UTC) + timedelta(hours=1))
    assert before > 1_000_000 > 10 * ledger.stats()["size_bytes"]
    assert sum(file.stat().st_size for file in (tmp_path / "store").iterdir()) < 200_000


def test_an_export_holds_every_judgment_and_field(ledger, tmp_path):
    ledger.add([(key_of(1), replace(FULL, doc_id="d\x00"))], revision="abc")
    ledger.add([(key_of(2), make_judgment(None))], revision="def")
    path = tmp_path / "out.parquet"
    assert ledger.export(path) == 2
    first, second = pq.read_table(path).to_pylist()
    expected = {name: getattr(FULL, name) for name in Judgment.__dataclass_fields__ if name not in ("cached", "cause")}
    expected |= {"mode": "expected", "doc_id": "d\x00", "key": key_of(1), "revision": "abc", "is_forgotten": False}
    assert timedelta(0) <= datetime.now(UTC) - first.pop("stored_at") < timedelta(minutes=5)
    assert first == expected
    assert (second["rating"], second["invalid_reason"], second["explanation"]) == (None, "not_json", None)


def test_an_export_of_many_is_complete_and_in_order(ledger, tmp_path):
    count = 12_345
    ledger.add(numbered(*range(count)), revision="r")
    assert ledger.export(tmp_path / "out.parquet") == count
    occurrences = pq.read_table(tmp_path / "out.parquet")["occurrence"].to_pylist()
    assert sorted(occurrences) == list(range(count))


def test_an_export_of_nothing_is_a_table_without_rows(ledger, tmp_path):
    assert ledger.export(tmp_path / "out.parquet") == 0
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0


def test_an_export_that_fails_leaves_no_file(ledger, behind, tmp_path):
    behind("DROP TABLE judgments")
    folder = tmp_path / "exports"
    folder.mkdir()
    with pytest.raises(LedgerError):
        ledger.export(folder / "out.parquet")
    assert list(folder.iterdir()) == []


def test_an_export_of_ids_that_no_file_takes_replaces_the_characters(ledger, tmp_path):
    ledger.add([(key_of(1), replace(FULL, doc_id="d\ud800"))], revision="r")
    ledger.export(tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet")["doc_id"].to_pylist() == ["d\ufffd"]


# --- forgetting ---


def test_forgetting_empties_texts_and_keeps_figures(ledger):
    ledger.add([(key_of(1), FULL), (key_of(2), replace(make_judgment(None), doc_id="d1"))], revision="r")
    ledger.add([(key_of(3), replace(FULL, doc_id="other"))], revision="r")
    assert ledger.forget("d1") == Forgotten(2, 0)
    found = ledger.find([key_of(n) for n in (1, 2, 3)])
    assert found[key_of(1)] == replace(FULL, raw_reply="", explanation="", cached=True)
    assert found[key_of(2)] == replace(make_judgment(None), doc_id="d1", raw_reply="", cached=True)
    assert found[key_of(3)] == replace(FULL, doc_id="other", cached=True)
    assert ledger.stats()["forgotten"] == 2


def test_a_forgotten_judgment_is_not_filled_again(ledger):
    stored(ledger, FULL)
    ledger.forget("d1")
    assert stored(ledger, FULL).raw_reply == ""


def test_forgetting_deletes_the_reflections_that_were_shown_the_document(ledger, behind):
    for number, doc_ids in enumerate((["d1", "d2"], ["d2"], [])):
        ledger.add_reflection(key_of(number), Reflection("t", 1, 1), model="m", revision="r", doc_ids=doc_ids)
    assert ledger.forget("d1") == Forgotten(0, 1)
    assert [ledger.find_reflection(key_of(n)) is None for n in range(3)] == [True, False, False]
    assert behind("SELECT doc_id FROM reflection_documents") == [("d2",)]


def test_forgetting_what_nobody_knows_changes_nothing(ledger):
    stored(ledger, FULL)
    assert ledger.forget("other") == Forgotten(0, 0)
    assert stored(ledger, FULL).raw_reply == FULL.raw_reply


def test_forgetting_a_document_forgets_what_was_made_of_it(ledger):
    made = [
        derived_id("d1", "stuffed"),
        derived_id("d1", "padded", "other"),
        derived_id("other", "padded", "d1"),
        derived_id("other", "padded", "d"),
        derived_id("d", "stuffed"),
        derived_id("D1", "stuffed"),
        "d11",
    ]
    entries = [(key_of(number), replace(FULL, doc_id=doc_id)) for number, doc_id in enumerate(made)]
    ledger.add(entries, revision="r")
    assert ledger.forget("d1") == Forgotten(3, 0)
    found = ledger.find([key for key, _ in entries])
    assert [found[key].raw_reply == "" for key, _ in entries] == [True] * 3 + [False] * 4


def test_forgetting_reaches_what_waits_to_be_stored(ledger):
    ledger.add(numbered(*range(3_000), doc_id="d1"), revision="r")
    assert ledger.forget("d1") == Forgotten(3_000, 0)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_nothing_of_a_forgotten_text_is_left_in_the_files_of_sqlite(ledger, tmp_path):
    secret = "the salary of Leocadia Wren"
    ledger.add(numbered(*range(300), doc_id="d1", raw_reply=secret * 20, explanation=secret), revision="r")
    ledger.add(numbered(*range(300, 600)), revision="r")
    ledger.add_reflection(key_of(0), Reflection(secret, 1, 1), model="m", revision="r", doc_ids=["d1"])
    ledger.flush()
    ledger.forget("d1")
    for file in (tmp_path / "store").iterdir():
        assert secret.encode() not in file.read_bytes(), file
