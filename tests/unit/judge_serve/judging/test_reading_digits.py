"""Expected ratings: which tokens count as digits, and what their probabilities come to."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_serve.judging import InvalidReason, Scale
from judge_serve.judging.parsing import Reading, read_expected

SCALE = Scale()
GOOD = '{"rating": 4, "explanation": "on topic"}'
REASONS = frozenset(InvalidReason)


def log(*tokens_and_probabilities):
    return [(token, math.log(probability)) for token, probability in tokens_and_probabilities]


def test_expected_rating_is_the_mean_over_digit_probabilities():
    # (4 x 0.5 + 5 x 0.3) / 0.8 = 4.375
    assert read_expected(log(("4", 0.5), ("5", 0.3), ("The", 0.2)), SCALE).expected_rating == pytest.approx(4.375)


def test_rating_is_the_expectation_rounded_half_up():
    reading = read_expected([("2", -1.0), ("3", -1.0)], SCALE)
    assert (reading.expected_rating, reading.rating) == (2.5, 3)


def test_a_digit_with_and_without_space_counts_together():
    # (2 x (0.25 + 0.25) + 4 x 0.5) / 1 = 3
    assert read_expected(log(("2", 0.25), (" 2", 0.25), ("4\n", 0.5)), SCALE).expected_rating == pytest.approx(3.0)


def test_every_spelling_of_a_digit_adds_to_it_wherever_it_stands():
    # 1 x (0.1 + 0.05 + 0.05) + 5 x (0.3 + 0.1) over 0.6
    spellings = log(("5", 0.3), ("1", 0.1), ("\n5", 0.1), ("\u00a01", 0.05), ("\t1 ", 0.05), ("five", 0.4))
    assert read_expected(spellings, SCALE).expected_rating == pytest.approx((1 * 0.2 + 5 * 0.4) / 0.6)


def test_a_token_that_merges_digits_is_no_digit():
    """ "44" and "4.5" may begin with a 4, but say another number."""
    merged = log(("44", 0.3), ("4.", 0.2), ("45", 0.1), ("12", 0.2), ("2", 0.2))
    reading = read_expected(merged, SCALE, min_digit_mass=0.1)
    assert reading == Reading(2, None, None, expected_rating=2.0, digit_mass=pytest.approx(0.2))


def test_digits_beyond_the_alternatives_that_an_engine_returns_count_as_impossible():
    words = [(f"word{number}", 0.04) for number in range(19)]
    assert read_expected(log(("4", 0.2), *words), SCALE, 0.0).expected_rating == 4.0


def test_probability_outside_of_the_digits_is_told_and_changes_no_rating():
    sure = read_expected(log(("2", 0.25), ("4", 0.75)), SCALE)
    vague = read_expected(log(("2", 0.15), ("4", 0.45), ("The", 0.4)), SCALE)
    assert vague.expected_rating == pytest.approx(sure.expected_rating) == pytest.approx(3.5)
    assert (sure.digit_mass, vague.digit_mass) == (pytest.approx(1.0), pytest.approx(0.6))


@pytest.mark.parametrize(("mass", "floor", "is_valid"), [(0.5, 0.5, True), (0.49, 0.5, False), (0.004, 0.0, True)])
def test_digits_that_have_too_little_probability_are_no_rating(mass, floor, is_valid):
    reading = read_expected([("4", math.log(mass)), ("I", math.log(1 - mass))], SCALE, floor)
    assert reading.digit_mass == pytest.approx(mass)
    assert (reading.rating, reading.invalid_reason) == ((4, None) if is_valid else (None, InvalidReason.NO_DIGIT))


def test_the_mass_of_the_digits_is_at_most_one():
    assert read_expected([("4", 0.1), ("5", 0.0)], SCALE).digit_mass == 1.0


@pytest.mark.parametrize(
    "token", ["", " ", "0", "6", "9", "45", "4.", "-4", "four", "\u0664", "\u2074", "\uff14", "\u2463", "4 5"]
)
def test_tokens_that_are_no_digit_of_the_scale_are_left_out(token):
    assert read_expected([(token, -0.1), ("2", -3.0)], SCALE, 0.0).expected_rating == pytest.approx(2.0)


@pytest.mark.parametrize(
    "alternatives", [[], [("six", -0.1)], [("7", 0.0)], [("4", -math.inf)], [("4", math.nan)], [("4", -9_999.0)]]
)
@pytest.mark.parametrize("floor", [0.0, 0.5])
def test_no_digit_of_the_scale_is_no_rating(alternatives, floor):
    assert read_expected(alternatives, SCALE, floor) == Reading(None, None, InvalidReason.NO_DIGIT, digit_mass=0.0)


def test_log_probabilities_above_zero_do_not_overflow():
    assert read_expected([("4", 1e6), ("2", 0.0)], SCALE).expected_rating == pytest.approx(3.0)


tokens = st.sampled_from(["0", "1", "2", "3", "4", "5", "6", " 5", "5 ", "x", "", "\u0665"]) | st.text(max_size=3)


@given(st.lists(st.tuples(tokens, st.floats())))
def test_expected_rating_is_on_the_scale_or_no_digit_is_said(alternatives):
    reading = read_expected(alternatives, SCALE)
    assert 0.0 <= reading.digit_mass <= 1.0
    if reading.invalid_reason is None:
        assert SCALE.holds(reading.expected_rating)
        assert reading.rating == SCALE.nearest(reading.expected_rating)
    else:
        assert reading == Reading(None, None, InvalidReason.NO_DIGIT, digit_mass=reading.digit_mass)
        assert reading.digit_mass < 0.5
