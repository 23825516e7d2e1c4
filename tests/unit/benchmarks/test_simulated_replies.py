"""Simulated replies: what parses, what does not and why."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulated_replies import (
    EXPLANATIONS,
    MALFORMED,
    cut,
    first_token_logprobs,
    num_tokens,
    write_well_formed,
)
from judge_serve.judging import InvalidReason, Scale
from judge_serve.judging.parsing import parse_reply

REASONS = {
    "truncated": InvalidReason.TRUNCATED,
    "prose": InvalidReason.NOT_JSON,
    "preamble": InvalidReason.EXTRA_TEXT,
    "off_scale": InvalidReason.OFF_SCALE,
    "as_text": InvalidReason.NOT_AN_INTEGER,
    "no_explanation": InvalidReason.MISSING_FIELD,
}


@given(st.integers(1, 5), st.integers(0, 2**64 - 1))
def test_a_well_formed_reply_is_read(rating, lane):
    text = write_well_formed(rating, lane)
    reading = parse_reply(text.text, text.finish_reason, Scale())
    assert (reading.rating, reading.invalid_reason) == (rating, None)
    assert reading.explanation in EXPLANATIONS


@pytest.mark.parametrize("kind", MALFORMED)
@given(rating=st.integers(1, 5), max_tokens=st.integers(32, 1_000))
def test_a_malformed_reply_is_refused_for_its_reason(kind, rating, max_tokens):
    text = MALFORMED[kind](rating, max_tokens)
    assert parse_reply(text.text, text.finish_reason, Scale()).invalid_reason is REASONS[kind]


def test_a_reply_that_repeats_itself_fills_the_token_limit():
    text = MALFORMED["truncated"](3, 128)
    assert (num_tokens(len(text.text)), text.finish_reason) == (128, "length")


def test_a_text_at_the_limit_is_not_cut():
    text = write_well_formed(3, 0)
    assert cut(text, num_tokens(len(text.text))) == text
    assert cut(text, num_tokens(len(text.text)) - 1).finish_reason == "length"


@pytest.mark.parametrize(("num_chars", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2)])
def test_a_started_token_counts(num_chars, tokens):
    assert num_tokens(num_chars) == tokens


@given(st.integers(0, 4), st.floats(-0.45, 0.45))
def test_the_chosen_digit_is_the_likeliest(chosen, lean):
    alternatives = first_token_logprobs(tuple("12345"), chosen, lean, 20)
    assert alternatives[0][0] == "12345"[chosen]
    assert sum(math.exp(logprob) for _, logprob in alternatives) == pytest.approx(1.0)
