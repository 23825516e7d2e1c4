"""The ledger on SQLite and PostgreSQL: what is stored once is found by everybody, as it was, and once only."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import pytest

from judge_serve.judging import AnswerMode, InvalidReason
from optimize_workers.ledger import Ledger
from optimize_workers.ledger.judgments import KEYS_PER_QUERY
from optimize_workers.ledger.upkeep import Forgotten
from optimize_workers.ledger.writer import MAX_WAITING
from optimize_workers.reflection import Reflection
from tests.builders import make_judgment
from tests.contract.ledger.keys import FULL, key_of, numbered, stored
from tests.contract.ledger.processes import add_range


@pytest.mark.parametrize(
    "judgment",
    [
        FULL,
        make_judgment(),
        make_judgment(None),
        *(make_judgment(None, reason=reason) for reason in InvalidReason),
        *(replace(FULL, mode=mode) for mode in AnswerMode),
    ],
    ids=lambda judgment: f"{judgment.mode}-{judgment.rating}-{judgment.invalid_reason}",
)
def test_a_judgment_comes_back_with_every_field(ledger, judgment):
    assert stored(ledger, judgment) == replace(judgment, cached=True)


@pytest.mark.parametrize(
    "name",
    [
        "q\x00",
        "\x00",
        "\x10",
        "\x100000",
        "a\x10b\x00c",
        "\ud800",
        "smile \U0001f642 é ß 日本",
        "' OR 1=1; --",
        "\\0 %s ?",
        "x" * 10_000,
    ],
    ids=ascii,
)
def test_ids_of_any_characters_and_length_come_back(ledger, name):
    judgment = replace(FULL, query_id=name, doc_id=name)
    assert stored(ledger, judgment) == replace(judgment, cached=True)
    assert ledger.forget(name) == Forgotten(1, 0)


def test_ids_that_differ_in_a_refused_character_only_stay_apart(ledger):
    names = ["a\x00", "a\x10" + "0000", "a", "a\ufffd"]
    ledger.add([(key_of(n), replace(FULL, doc_id=name)) for n, name in enumerate(names)], revision="r")
    ledger.flush()
    assert [ledger.forget(name).judgments for name in names] == [1, 1, 1, 1]


def test_different_long_ids_in_one_index_are_no_problem(ledger):
    ids = [f"{n}-" + "é𝄞x" * 5_000 for n in range(3)]
    ledger.add([(key_of(n), replace(FULL, doc_id=name)) for n, name in enumerate(ids)], revision="r")
    ledger.flush()
    assert ledger.forget(ids[1]) == Forgotten(1, 0)


def test_unknown_keys_are_left_out(ledger):
    ledger.add(numbered(1), revision="r")
    ledger.flush()
    assert set(ledger.find([key_of(1), key_of(2)])) == {key_of(1)}
    assert ledger.find([key_of(2)]) == {}


def test_nothing_asked_or_added_is_nothing(ledger):
    ledger.add([], revision="r")
    ledger.flush()
    assert ledger.find([]) == {}


def test_more_keys_than_one_query_takes_are_found(ledger):
    count = 2 * KEYS_PER_QUERY + 1
    ledger.add(numbered(*range(count)), revision="r")
    ledger.flush()
    found = ledger.find([key_of(n) for n in range(count)] * 2)  # every key twice
    assert {found[key_of(n)].occurrence for n in range(count)} == set(range(count))


def test_more_than_the_queue_holds_is_added_in_one_call(ledger):
    count = MAX_WAITING + 500
    ledger.add(numbered(*range(count)), revision="r")
    ledger.flush()
    assert ledger.stats()["judgments"] == count


@pytest.mark.parametrize("key", [b"", b"short", b"x" * 33])
def test_a_key_that_is_no_digest_is_refused(ledger, key):
    with pytest.raises(ValueError, match=f"a key of {len(key)} bytes; expected 32"):
        ledger.find([key])
    with pytest.raises(ValueError, match="expected 32"):
        ledger.add([(key, FULL)], revision="r")
    with pytest.raises(ValueError, match="expected 32"):
        ledger.find_reflection(key)


def test_a_reflection_comes_back(ledger):
    written = Reflection("Be \x00 strict. 🙂", 900, 120)
    ledger.add_reflection(key_of(1), written, model="m", revision="r", doc_ids=["d1", "d2", "d1"])
    ledger.flush()
    assert ledger.find_reflection(key_of(1)) == written
    assert ledger.find_reflection(key_of(2)) is None


def test_judgments_and_reflections_of_one_key_do_not_mix(ledger):
    ledger.add(numbered(1), revision="r")
    ledger.flush()
    assert ledger.find_reflection(key_of(1)) is None


# --- once ---


def test_the_first_judgment_of_a_key_stays(ledger):
    for reply in ("first", "second"):
        ledger.add([(key_of(1), make_judgment(raw_reply=reply))], revision="r")
        ledger.flush()
    assert ledger.find([key_of(1)])[key_of(1)].raw_reply == "first"
    assert ledger.stats()["judgments"] == 1


def test_the_first_of_one_call_stays(ledger):
    ledger.add([(key_of(1), make_judgment(raw_reply=reply)) for reply in ("first", "second")], revision="r")
    ledger.flush()
    assert ledger.find([key_of(1)])[key_of(1)].raw_reply == "first"


def test_the_first_reflection_of_a_key_stays_and_only_its_documents(ledger):
    for number in (1, 2):
        ledger.add_reflection(
            key_of(1), Reflection(f"text {number}", 1, 1), model="m", revision="r", doc_ids=[f"d{number}"]
        )
    ledger.flush()
    assert ledger.find_reflection(key_of(1)).text == "text 1"
    assert ledger.forget("d2") == Forgotten(0, 0)
    assert ledger.forget("d1") == Forgotten(0, 1)


def test_threads_that_add_the_same_keys_store_each_once(ledger):
    def work(thread):
        for first in range(0, 300, 30):
            ledger.add(numbered(*range(first, first + 30)), revision=f"r{thread}")
            ledger.find([key_of(n) for n in range(300)])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    ledger.flush()
    assert ledger.stats()["judgments"] == 300


def test_processes_that_open_a_fresh_store_at_once_and_add_the_same_keys_store_each_once(url):
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=spawn) as processes:
        # overlapping ranges: 0-400, 100-500, 200-600, 300-700
        work = [processes.submit(add_range, url, 100 * n, 100 * n + 400, f"r{n}") for n in range(4)]
        for done in work:
            done.result(timeout=120)
    ledger = Ledger(url)
    assert ledger.stats()["judgments"] == 700
    assert len(ledger.find([key_of(n) for n in range(700)])) == 700
    ledger.close()


def test_two_ledgers_see_what_the_other_one_flushed(url, ledger):
    ledger.add(numbered(1), revision="r")
    ledger.flush()
    other = Ledger(url)
    assert set(other.find([key_of(1)])) == {key_of(1)}
    other.close()


# --- openings and runs ---


def test_openings_are_counted_per_data_set(ledger):
    for fingerprint in ("one", "one", "other"):
        ledger.record_test_opening(fingerprint, "evaluate", "out/run")
    assert [ledger.count_test_openings(name) for name in ("one", "other", "third")] == [2, 1, 0]


def test_openings_by_either_fingerprint_are_counted_once_each(ledger):
    for fingerprint in ("old", "new", "new", "other"):
        ledger.record_test_opening(fingerprint, "evaluate", "out/run")
    assert ledger.count_test_openings("new", "old") == 3
    assert ledger.count_test_openings("new", "new") == 2


def test_what_a_run_opened_is_known(ledger):
    for fingerprint, run in (("one", "out/a"), ("two", "out/b"), ("three", "out/a")):
        ledger.record_test_opening(fingerprint, "evaluate", run)
    ledger.record_test_opening("long", "evaluate", "x" * 900)
    assert ledger.fingerprint_opened_by("out/a") == "three"
    assert ledger.fingerprint_opened_by("x" * 900) == "long"
    assert ledger.fingerprint_opened_by("out/c") is None


def test_openings_outlive_the_process(url):
    for _ in range(2):
        ledger = Ledger(url)
        ledger.record_test_opening("one", "optimize", "out/run")
        ledger.close()
    ledger = Ledger(url)
    assert ledger.count_test_openings("one") == 2
    ledger.close()


@pytest.mark.parametrize("run", ["x" * 10_000, "\x00", "\ud800"], ids=ascii)
def test_any_run_path_is_noted(ledger, run):
    ledger.record_test_opening("one", "evaluate", run)
    ledger.record_run(run, "evaluate")
    assert ledger.count_test_openings("one") == 1
    assert ledger.stats()["runs"] == 1


def test_a_run_is_noted_once_by_its_absolute_path(ledger, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path, command in (("out/a", "evaluate"), (str(tmp_path / "out/a"), "optimize"), ("out/b", "label")):
        ledger.record_run(path, command)
    assert ledger.run_paths() == [str(tmp_path / "out/a"), str(tmp_path / "out/b")]
