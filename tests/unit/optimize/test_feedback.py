"""Feedback: the gap, its direction, the human's reason, and nothing more of a text than needed."""

import pytest

from judge_serve.judging import InvalidReason
from optimize_workers.feedback import feedback_on, reflection_record
from tests.builders import SCALE, make_example, make_judgment


def feedback(rating, gold=3.0, **options):
    return feedback_on(make_judgment(rating, **options), make_example(gold), SCALE)


@pytest.mark.parametrize(
    ("rating", "text"),
    [(5, "The judge said 5, 2 too high."), (4, "The judge said 4, 1 too high."), (1, "The judge said 1, 2 too low.")],
)
def test_a_miss_names_gap_and_direction(rating, text):
    assert feedback(rating).startswith(text)


def test_a_match_is_called_right():
    assert (
        feedback(3)
        == 'Right: the judge said 3. The human rating is 3 on scale 1-5. The human\'s reason: "fits the need"'
    )


@pytest.mark.parametrize(("gold", "is_right"), [(3.4, True), (3.5, False), (2.6, True), (2.5, False)])
def test_less_than_half_a_rating_is_right(gold, is_right):
    assert feedback(3, gold).startswith("Right") is is_right


def test_an_unreadable_reply_says_why_and_what_a_reply_must_be():
    text = feedback(None, reason=InvalidReason.TRUNCATED)
    assert "could not be read (truncated) and counts as fully wrong" in text
    assert "exactly one JSON object" in text
    assert "The human rating is 3 on scale 1-5." in text


def test_the_expected_rating_is_what_is_compared():
    assert feedback(4, expected=3.75).startswith("The judge said 3.75, 0.75 too high.")


def test_the_judges_reasoning_is_shown_where_it_was_wrong():
    assert 'The judge\'s reasoning: "cats"' in feedback(5, explanation="cats")


def test_an_example_without_a_reason_needs_none():
    assert "reason" not in feedback_on(make_judgment(3), make_example(3, reason=""), SCALE)


def test_a_record_shows_inputs_reply_and_feedback():
    record = reflection_record(make_judgment(None, raw_reply="Sorry"), make_example(2), SCALE)
    assert record["Inputs"] == {"query": "query 0 of train", "document": "document 0 of train, evidence 2"}
    assert record["Generated Outputs"] == "Sorry"
    assert "could not be read" in record["Feedback"]


def test_long_texts_are_shortened():
    record = reflection_record(make_judgment(3, raw_reply="r" * 5_000), make_example(3, document="d" * 601), SCALE)
    assert record["Inputs"]["document"] == "d" * 600 + " [...]"
    assert len(record["Generated Outputs"]) == 606
