"""Review events: stored in order, found by run, emptied where their document is forgotten; SQLite and PostgreSQL."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from optimize_workers.ledger import LedgerError
from optimize_workers.ledger.upkeep import Forgotten
from optimize_workers.library.reviews import EventKind, ReviewEvent

NOON = datetime(2026, 11, 22, 12, 0, 0, 123_456, tzinfo=UTC)
FIRST = ReviewEvent(
    "out/a", "q1", "d1", "train", EventKind.EXPLAINED, {"text": "too \x00 old, \U0001f600"}, "ada", NOON
)


def test_an_event_comes_back_as_it_was_with_a_number(ledger):
    (number,) = ledger.add_review_events([FIRST])
    assert ledger.review_events() == [replace(FIRST, number=number)]


def test_events_keep_their_order_and_name_what_they_undo(ledger):
    first, second = ledger.add_review_events([FIRST, replace(FIRST, kind=EventKind.ACCEPTED, payload={})])
    (third,) = ledger.add_review_events([replace(FIRST, kind=EventKind.UNDONE, payload={}, undoes=second)])
    assert first < second < third
    assert [(event.number, event.undoes) for event in ledger.review_events()] == [
        (first, None),
        (second, None),
        (third, second),
    ]


def test_a_run_has_its_own_events(ledger):
    ledger.add_review_events([FIRST, replace(FIRST, run="out/b"), replace(FIRST, run="")])
    assert [event.run for event in ledger.review_events("out/b")] == ["out/b"]
    assert [event.run for event in ledger.review_events()] == ["out/a", "out/b", ""]


def test_forgetting_a_document_empties_its_events_and_keeps_that_they_happened(ledger):
    other = replace(FIRST, doc_id="d2")
    ledger.add_review_events([FIRST, other])
    assert ledger.forget("d1") == Forgotten(0, 0, 1)
    emptied, kept = ledger.review_events()
    assert (emptied.payload, emptied.text, emptied.author, emptied.kind) == ({}, "", "ada", EventKind.EXPLAINED)
    assert kept.payload == FIRST.payload


def test_a_document_id_of_any_length_is_forgotten(ledger):
    ledger.add_review_events([replace(FIRST, doc_id="d" * 5_000)])
    assert ledger.forget("d" * 5_000).review_events == 1


def test_stats_count_events(ledger):
    ledger.add_review_events([FIRST, FIRST])
    assert ledger.stats()["review_events"] == 2


def test_nothing_is_stored_where_one_of_the_events_cannot_be(ledger):
    with pytest.raises(LedgerError):
        ledger.add_review_events([FIRST, replace(FIRST, author=None)])
    assert ledger.review_events() == []


@pytest.mark.parametrize("damage", ["kind = 'nosuch'", "payload = 'no json'"])
def test_a_damaged_event_is_named(ledger, behind, damage):
    (number,) = ledger.add_review_events([FIRST])
    behind(f"UPDATE review_events SET {damage}")
    with pytest.raises(LedgerError, match=f"review event {number} is damaged"):
        ledger.review_events()
