"""Review events: one history, one state; undoing; the library that follows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from optimize_workers.library.reviews import (
    MAX_EXPLANATION_CHARS,
    MAX_LINE_CHARS,
    Decision,
    EventKind,
    PairKey,
    ReviewEvent,
    as_explanation,
    last_action,
    library_of,
    one_line,
    removal_of,
    reviews_of,
)

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KEY = PairKey("out/a", "q1", "d1")


def history(*steps, key=KEY, author="ada", split="train"):
    """Numbered events of (kind, text) steps on one pair."""
    return [
        ReviewEvent(
            *key, split, kind, {"text": text} if text is not None else {}, author, START + timedelta(minutes=n), n
        )
        for n, (kind, text) in enumerate(steps, start=1)
    ]


def state(events):
    return reviews_of(events)[KEY]


E = EventKind


def test_an_explanation_becomes_the_bullet_as_one_line():
    review = state(history((E.EXPLAINED, "Too old,\n and it shows.")))
    assert (review.explanation, review.bullet) == ("Too old,\n and it shows.", "Too old, and it shows.")
    assert (review.explained_by, review.bullet_by, review.decision) == ("ada", "ada", Decision.OPEN)


def test_a_line_that_somebody_wrote_stays_when_the_explanation_changes():
    events = history((E.EXPLAINED, "one"), (E.BULLET_EDITED, "mine"), (E.EXPLAINED, "two"))
    assert (state(events).explanation, state(events).bullet) == ("two", "mine")
    assert state(history((E.EXPLAINED, "one"), (E.EXPLAINED, "two"))).bullet == "two"


def test_a_distilled_line_replaces_the_own_one():
    events = [*history((E.EXPLAINED, "one")), replace(history((E.DISTILLED, "general"))[0], number=2, author="m")]
    assert (state(events).bullet, state(events).bullet_by, state(events).explained_by) == ("general", "m", "ada")


def test_a_line_distilled_from_a_label_brings_its_reason_along():
    event = replace(history((E.DISTILLED, None))[0], payload={"text": "general", "explanation": "the label's"})
    assert (state([event]).explanation, state([event]).explained_by) == ("the label's", "labels")


@pytest.mark.parametrize(
    ("kind", "decision"),
    [(E.ACCEPTED, Decision.ACCEPTED), (E.REJECTED, Decision.REJECTED), (E.LABEL_WRONG, Decision.LABEL_WRONG)],
)
def test_the_last_decision_counts(kind, decision):
    events = history((E.EXPLAINED, "x"), (E.REJECTED, None), (kind, "x"))
    assert (state(events).decision, state(events).decided_by) == (decision, "ada")


def test_a_bullet_that_changes_after_it_was_accepted_is_open_again():
    assert state(history((E.EXPLAINED, "x"), (E.ACCEPTED, "x"), (E.BULLET_EDITED, "y"))).decision is Decision.OPEN
    assert state(history((E.EXPLAINED, "x"), (E.ACCEPTED, "x"), (E.EXPLAINED, "y"))).decision is Decision.OPEN
    assert state(history((E.EXPLAINED, "x"), (E.REJECTED, None), (E.EXPLAINED, "y"))).decision is Decision.REJECTED


def undo(events, author="ada"):
    """The history with the author's last action undone."""
    last = last_action(events, author)
    return [
        *events,
        replace(last, kind=E.UNDONE, payload={}, author=author, number=len(events) + 1, undoes=last.number),
    ]


def test_undoing_goes_back_step_by_step():
    events = history((E.EXPLAINED, "one"), (E.BULLET_EDITED, "two"), (E.ACCEPTED, "two"))
    events = undo(events)
    assert state(events).decision is Decision.OPEN
    events = undo(events)
    assert state(events).bullet == "one"
    events = undo(events)
    assert (state(events).explanation, state(events).bullet) == ("", "")
    assert last_action(events, "ada") is None
    assert len(state(events).events) == 6  # what was done stays on record


def test_an_author_undoes_own_actions_only():
    events = [*history((E.EXPLAINED, "one")), replace(history((E.ACCEPTED, "one"))[0], number=2, author="bob")]
    assert last_action(events, "ada").number == 1
    assert last_action(events, "eve") is None


def test_undoing_a_change_below_a_decision_brings_in_nothing_that_nobody_accepted():
    events = history((E.EXPLAINED, "Rate every pair from 1 to 10."), (E.BULLET_EDITED, "Prefer recent pages."))
    events.append(replace(history((E.ACCEPTED, "Prefer recent pages."))[0], number=3, author="bob"))
    assert [bullet.text for bullet in library_of(events)] == ["Prefer recent pages."]
    events = undo(events)
    assert (state(events).bullet, state(events).decision) == ("Rate every pair from 1 to 10.", Decision.OPEN)
    assert library_of(events) == []


def test_what_a_model_distilled_is_not_an_action_to_undo():
    assert last_action(history((E.DISTILLED, "x"), author="ada"), "ada") is None


def test_the_library_holds_accepted_bullets_with_author_date_and_source():
    events = history((E.EXPLAINED, "Old pages deserve less."), (E.ACCEPTED, "Old pages deserve less."), split="val")
    (bullet,) = library_of(events)
    assert (bullet.text, bullet.author, bullet.created_at) == (
        "Old pages deserve less.",
        "ada",
        "2026-11-22T12:02:00+00:00",
    )
    (source,) = bullet.sources
    assert (source.query_id, source.doc_id, source.split) == ("q1", "d1", "val")
    assert source.explanation == "Old pages deserve less."


@pytest.mark.parametrize("kind", [E.REJECTED, E.LABEL_WRONG, E.EXPLAINED])
def test_the_library_holds_nothing_else(kind):
    assert library_of(history((E.EXPLAINED, "x"), (kind, None))) == []


def test_equal_bullets_are_one_with_all_sources():
    other = PairKey("out/b", "q2", "d2")
    events = [
        *history((E.EXPLAINED, "x"), (E.ACCEPTED, "x")),
        *history((E.EXPLAINED, "x"), (E.ACCEPTED, "x"), key=other),
    ]
    (bullet,) = library_of(events)
    assert [source.doc_id for source in bullet.sources] == ["d1", "d2"]


def test_a_forgotten_document_leaves_no_bullet():
    events = [replace(event, payload={}) for event in history((E.EXPLAINED, "x"), (E.ACCEPTED, "x"))]
    assert library_of(events) == []
    assert state(events).decision is Decision.ACCEPTED


def test_imported_bullets_are_in_the_library_and_no_pair_of_a_run():
    payload = {"text": "x", "author": "eve", "created_at": "2026-01-02", "explanation": "why"}
    events = [ReviewEvent("", "q", "d", "train", E.IMPORTED, payload, "ada", START, 1)]
    events.append(replace(events[0], query_id="", doc_id="", payload={**payload, "text": "y"}))
    first, second = library_of(events)
    assert (first.author, first.created_at, first.sources[0].explanation, second.sources) == (
        "eve",
        "2026-01-02",
        "why",
        (),
    )
    assert reviews_of(events) == {}


# --- leaving the library ---

LATER = START + timedelta(days=1)
ACCEPTED = history((E.EXPLAINED, "x"), (E.ACCEPTED, "x"))
IMPORT = ReviewEvent("", "q9", "d9", "train", E.IMPORTED, {"text": "x"}, "eve", START, 3)
PLAIN = replace(IMPORT, query_id="", doc_id="", number=4)


def after(events, *more):
    """The history with more events, numbered."""
    return [*events, *(replace(event, number=len(events) + n) for n, event in enumerate(more, start=1))]


def removed(events, *texts, author="bob"):
    return after(events, *removal_of(events, texts, author, LATER))


def test_a_removed_bullet_leaves_the_library_wherever_it_came_from():
    events = removed([*ACCEPTED, IMPORT, PLAIN], "x")
    assert library_of(events) == []
    assert [(event.run, event.doc_id) for event in events[4:]] == [("out/a", "d1"), ("", "d9"), ("", "")]
    assert {(event.author, event.at) for event in events[4:]} == {("bob", LATER)}
    assert (state(events).decision, state(events).decided_by, state(events).bullet) == (Decision.REMOVED, "bob", "x")
    assert list(reviews_of(events)) == [KEY]


def test_other_bullets_stay_and_what_was_removed_is_not_removed_twice():
    events = removed([*ACCEPTED, replace(IMPORT, payload={"text": "y"})], "x")
    assert [bullet.text for bullet in library_of(events)] == ["y"]
    assert removal_of(events, ["x"], "bob", LATER) == []


def test_accepting_a_removed_bullet_again_brings_it_back():
    events = removed(ACCEPTED, "x")
    events = after(events, replace(ACCEPTED[-1], at=LATER))
    assert [bullet.text for bullet in library_of(events)] == ["x"]
    assert state(events).decision is Decision.ACCEPTED
    assert library_of(removed(events, "x")) == []


@pytest.mark.parametrize("imported", [IMPORT, PLAIN])
def test_importing_a_removed_bullet_again_brings_it_back(imported):
    events = removed([*ACCEPTED, imported], "x")
    events = after(events, replace(imported, payload={"text": "x", "author": "zoe"}))
    (bullet,) = library_of(events)
    assert bullet.author == "zoe" and len(bullet.sources) == (1 if imported.doc_id else 0)
    assert state(events).decision is Decision.REMOVED  # the pair taught it, and nobody accepted it there again
    assert library_of(removed(events, "x")) == []


def test_another_line_at_a_removed_pair_is_open_again():
    events = after(removed(ACCEPTED, "x"), *history((E.BULLET_EDITED, "y")))
    assert (state(events).bullet, state(events).decision) == ("y", Decision.OPEN)


def test_a_removal_of_another_line_than_stands_there_says_nothing():
    """The acceptance below was undone meanwhile."""
    events = removed(ACCEPTED, "x")
    undoing = replace(ACCEPTED[-1], kind=E.UNDONE, payload={}, undoes=2)
    assert state(after(events, undoing)).decision is Decision.OPEN
    other = replace(events[-1], payload={"text": "y"}, number=4)
    assert state([*ACCEPTED, other]).decision is Decision.ACCEPTED


def test_a_removal_is_not_what_the_page_undoes():
    assert last_action(removed(ACCEPTED, "x", author="ada"), "ada").kind is E.ACCEPTED


def test_a_removed_and_forgotten_bullet_leaves_no_text():
    events = [replace(event, payload={}) for event in removed([*ACCEPTED, IMPORT], "x")]
    assert library_of(events) == []
    assert removal_of(events, [""], "bob", LATER) == []


def test_a_long_explanation_is_cut_at_a_word():
    text = as_explanation("one two\r\n" * 600)
    assert len(text) <= MAX_EXPLANATION_CHARS and text.endswith(("one...", "two..."))
    assert as_explanation(" a\r\nb ") == "a\nb"
    assert len(as_explanation("x" * 9_000)) == MAX_EXPLANATION_CHARS
    exact = "x" * MAX_EXPLANATION_CHARS
    assert as_explanation(exact) == exact


def test_a_stored_reason_of_a_label_that_is_too_long_is_read_shortened():
    event = replace(history((E.DISTILLED, None))[0], payload={"text": "general", "explanation": "why " * 2_000})
    assert len(state([event]).explanation) <= MAX_EXPLANATION_CHARS


def test_one_line_is_short_and_ends_at_a_word():
    assert one_line("  a\u2028b\x0b c ") == "a b c"
    line = one_line("word " * 100)
    assert len(line) <= MAX_LINE_CHARS
    assert line.endswith("word...")
