"""Strict reading: every reason, every allowed form, and no rating out of anything else."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from judge_serve.judging import InvalidReason, Scale
from judge_serve.judging.parsing import Reading, parse_reply, storable
from tests.fakes import json_reply

SCALE = Scale()
GOOD = '{"rating": 4, "explanation": "on topic"}'
REASONS = frozenset(InvalidReason)


def read(reply, finish_reason="stop"):
    return parse_reply(reply, finish_reason, SCALE)


def reason(reply, finish_reason="stop"):
    reading = read(reply, finish_reason)
    assert reading.rating is None
    assert reading.explanation is None
    return reading.invalid_reason


# --- what is allowed ---


@pytest.mark.parametrize(
    "reply",
    [
        GOOD,
        f"  \n\t{GOOD}\r\n ",
        '{\n  "explanation" : "on topic",\n  "rating" : 4\n}',
        f"```json\n{GOOD}\n```",
        f"```JSON\n{GOOD}\n```",
        f"```\n{GOOD}\n```",
        f"```json  \n\n  {GOOD}  \n\n```",
        f"```json\n{GOOD}```",
        f"\n\n```json\n{GOOD}\n```\n",
        '{"rating": 4, "explanation": "  on topic\\n"}',
    ],
)
def test_white_space_and_one_code_fence_are_allowed(reply):
    assert read(reply) == Reading(4, "on topic", None)


@pytest.mark.parametrize("rating", [1, 2, 3, 4, 5])
def test_every_rating_of_the_scale_is_read(rating):
    assert read(json_reply(rating)).rating == rating


def test_the_scale_decides_which_ratings_are_allowed():
    binary = Scale(minimum=0, maximum=1, anchors=("no", "yes"))
    assert parse_reply(json_reply(0), "stop", binary).rating == 0
    assert parse_reply(json_reply(2), "stop", binary).invalid_reason is InvalidReason.OFF_SCALE


def test_a_complete_reply_counts_even_if_the_token_limit_ended_it():
    assert read(GOOD, "length").rating == 4


def test_braces_and_escapes_inside_the_explanation_are_text():
    assert read(json_reply(2, 'says {"rating": 5} "twice"\n```')).explanation == 'says {"rating": 5} "twice"\n```'


def test_escaped_field_names_are_the_same_names():
    assert read('{"r\\u0061ting": 4, "explanation": "x"}').rating == 4


@pytest.mark.parametrize(
    ("escaped", "kept"),
    [
        ("a\\u0000b", "a\ufffdb"),
        ("a\\ud800b", "a\ufffdb"),
        ("\\ud83d\\ude00", "\U0001f600"),
        ("\\udc00\\ud800", "\ufffd\ufffd"),
    ],
)
def test_what_no_database_can_store_is_replaced_in_the_explanation(escaped, kept):
    assert read(f'{{"rating": 4, "explanation": "{escaped}"}}') == Reading(4, kept, None)


# --- every reason ---


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "   ",
        "4",
        "relevant",
        "null",
        "[]",
        '[{"rating": 4, "explanation": "x"}]',
        '"{\\"rating\\": 4}"',
        "{'rating': 4, 'explanation': 'x'}",
        '{"rating": 4, "explanation": "x",}',
        '{"rating": 4 "explanation": "x"}',
        '{rating: 4, explanation: "x"}',
        '{"rating": 04, "explanation": "x"}',
        '{"rating": +4, "explanation": "x"}',
        '{"rating": NaN, "explanation": "x"}',
        '{"rating": Infinity, "explanation": "x"}',
        '{"rating": 4, "explanation": -Infinity}',
        '{"rating": 4, "explanation": "a\nb"}',
        '{"rating": 4, "explanation": "a\x00b"}',
        '{"rating": 4, /* sure */ "explanation": "x"}',
        '{"rating": \uff14, "explanation": "x"}',
        "```json\n```",
    ],
)
def test_what_is_no_json_object_is_not_json(reply):
    assert reason(reply) is InvalidReason.NOT_JSON


@pytest.mark.parametrize(
    "reply",
    [
        f"Sure! {GOOD}",
        f"{GOOD} Hope this helps.",
        f"{GOOD}{GOOD}",
        f"{GOOD}\n```json\n{GOOD}\n```",
        f"Answer:\n```json\n{GOOD}\n```",
        f"```json\n```json\n{GOOD}\n```\n```",
        f"```json\n{GOOD}\n```\nDone.",
        f"```python\n{GOOD}\n```",
        f"````json\n{GOOD}\n````",
        f"```json {GOOD}```",
        f"```json\n{GOOD}",
        f"{GOOD}\n```",
        f"\ufeff{GOOD}",
        f"<think>hm</think>{GOOD}",
        f"I'm sorry, but {GOOD}",
        f"{GOOD}}}",
        '{"rating": 4, "explanation": "x", "confidence": 1}',
        '{"rating": 4, "rating": 5, "explanation": "x"}',
        '{"rating": 4, "rating": 4, "explanation": "x"}',
        '{"rating": 4, "explanation": "x", "explanation": "y"}',
    ],
)
def test_anything_beside_the_two_fields_is_extra_text(reply):
    assert reason(reply) is InvalidReason.EXTRA_TEXT


@pytest.mark.parametrize(
    "reply",
    [
        "{}",
        '{"rating": 4}',
        '{"explanation": "x"}',
        '{"Rating": 4, "explanation": "x"}',
        '{"rating ": 4, "explanation": "x"}',
    ],
)
def test_both_fields_are_needed(reply):
    assert reason(reply) is InvalidReason.MISSING_FIELD


@pytest.mark.parametrize("explanation", [None, 7, True, ["x"], {"text": "x"}])
def test_an_explanation_that_is_no_text_is_missing(explanation):
    assert reason(json_reply(4, explanation)) is InvalidReason.MISSING_FIELD


@pytest.mark.parametrize("rating", ["4", "", 4.0, 4.5, True, False, None, [4], {"value": 4}])
def test_only_a_json_integer_is_an_integer(rating):
    assert reason(json_reply(rating)) is InvalidReason.NOT_AN_INTEGER


@pytest.mark.parametrize("literal", ["4e0", "4.0000000000000001", "1e999", "-1e999", "400e-2"])
def test_numbers_written_as_floats_are_not_integers(literal):
    assert reason(f'{{"rating": {literal}, "explanation": "x"}}') is InvalidReason.NOT_AN_INTEGER


@pytest.mark.parametrize("rating", [0, 6, -1, 10, 45, 10**30, -(10**30)])
def test_integers_beside_the_scale_are_off_scale(rating):
    assert reason(json_reply(rating)) is InvalidReason.OFF_SCALE


def test_an_integer_too_long_for_python_is_no_rating():
    assert reason('{"rating": ' + "4" * 100_000 + ', "explanation": "x"}') in REASONS


@pytest.mark.parametrize("explanation", ["", "  ", "\n\t", "\u00a0\u2003"])
def test_a_blank_explanation_is_empty(explanation):
    assert reason(json_reply(4, explanation)) is InvalidReason.EMPTY_EXPLANATION


@pytest.mark.parametrize(
    "reply",
    [
        "I'm sorry, but I can't help with that.",
        "I\u2019m unable to judge this document.",
        "I am not able to do that.",
        "Sorry, no.",
        "I cannot rate this.",
        "I can\u2019t rate this.",
        "I won't do this.",
        "I apologize, but no.",
        "As an AI, I have no opinion.",
        "**I'm very sorry**",
        "```\nI cannot rate this.\n```",
    ],
)
def test_a_refusal_in_words_is_a_refusal(reply):
    assert reason(reply) is InvalidReason.REFUSAL


def test_a_content_filter_is_a_refusal_whatever_the_text():
    assert reason(GOOD, "content_filter") is InvalidReason.REFUSAL


def test_a_document_about_apologies_is_no_refusal():
    assert reason("The document says I'm sorry.") is InvalidReason.NOT_JSON


@pytest.mark.parametrize(
    "reply", ["", '{"rating": 4, "explan', "I think that", "I'm sorry", '{"rating": 4, "explanation": "x"', "4"]
)
def test_an_unreadable_reply_at_the_token_limit_is_truncated(reply):
    assert reason(reply, "length") is InvalidReason.TRUNCATED


@pytest.mark.parametrize("reply", ["{", '{"rating": 4', '```json\n{"rating": 4, "expl\n```'])
def test_an_object_left_open_is_truncated(reply):
    assert reason(reply) is InvalidReason.TRUNCATED


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"rating":', '{"rating": 4, "explanation": ['])
def test_deep_nesting_is_no_rating(opening):
    assert reason(opening * 100_000) in REASONS


def test_balanced_deep_nesting_in_a_field_is_no_rating():
    nested = "[" * 50_000 + "]" * 50_000
    assert reason(f'{{"rating": {nested}, "explanation": "x"}}') in REASONS


# --- properties ---

pieces = st.sampled_from(
    [
        '{"rating": ',
        '"explanation": ',
        '"x"',
        "4",
        ", ",
        "}",
        "{",
        "```",
        "```json\n",
        "\n",
        "[",
        "]",
        "-",
        ".",
        "e9",
        '"',
        "\\",
        "NaN",
        "\ud800",
        "\x00",
    ]
)
replies = st.one_of(st.text(), st.lists(pieces, max_size=12).map("".join))


@given(replies, st.sampled_from(["stop", "length", "content_filter", "unknown", ""]))
@example("\ud800", "stop")
@example("\x00", "stop")
@example('{"rating": 4, "explanation": "\ud800"}', "stop")
def test_parse_never_raises_and_gives_a_rating_or_a_reason(reply, finish_reason):
    reading = read(reply, finish_reason)
    assert (reading.rating is None) == (reading.invalid_reason is not None)
    assert (reading.rating is None) == (reading.explanation is None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
near_misses = st.dictionaries(st.sampled_from(["rating", "explanation", "note"]), json_values)


@given(near_misses | json_values)
@example({"rating": True, "explanation": "x"})
@example({"rating": 4.0, "explanation": "x"})
def test_a_json_value_is_read_only_if_it_is_exactly_the_schema(value):
    is_exact = (
        isinstance(value, dict)
        and set(value) == {"rating", "explanation"}
        and type(value["rating"]) is int
        and 1 <= value["rating"] <= 5
        and isinstance(value["explanation"], str)
        and bool(value["explanation"].strip())
    )
    assert (read(json.dumps(value)).rating is not None) == is_exact


@given(
    st.integers(1, 5),
    st.text(min_size=1).filter(str.strip),
    st.booleans(),
    st.sampled_from([None, 0, 2]),
    st.sampled_from(["{}", "\n {}\t\n", "```json\n{}\n```", "```\n{}\n```"]),
)
def test_every_valid_object_is_read_however_it_is_written(rating, explanation, ensure_ascii, indent, frame):
    written = json.dumps({"rating": rating, "explanation": explanation}, ensure_ascii=ensure_ascii, indent=indent)
    assert read(frame.replace("{}", written)) == Reading(rating, storable(explanation).strip(), None)


@given(st.integers().filter(lambda number: number not in SCALE.ratings))
def test_off_scale_integers_never_become_ratings(rating):
    assert reason(json_reply(rating)) is InvalidReason.OFF_SCALE


@given(st.text(min_size=1).filter(str.strip))
def test_text_before_the_object_never_leaves_a_rating(prefix):
    if prefix.strip() not in ("```json", "```JSON", "```"):
        assert read(prefix + GOOD).rating is None


@given(st.integers(1, len(GOOD) - 1))
def test_no_proper_prefix_of_a_reply_holds_a_rating(length):
    assert reason(GOOD[:length]) is InvalidReason.TRUNCATED


@given(st.text())
def test_explanations_can_always_be_written_as_utf8(explanation):
    assert "\x00" not in storable(explanation)
    storable(explanation).encode("utf-8")
