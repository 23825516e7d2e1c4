"""The rating scale."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_serve.judging import Scale

FIVE = Scale()
BINARY = Scale(minimum=0, maximum=1, anchors=("no", "yes"))


def test_default_scale_is_one_to_five():
    assert list(FIVE.ratings) == [1, 2, 3, 4, 5]


def test_width_is_the_widest_miss():
    assert (FIVE.width, BINARY.width) == (4, 1)


def test_scale_is_named_by_its_ends():
    assert str(BINARY) == "0-1"


@pytest.mark.parametrize(
    ("value", "rating"),
    [(1.0, 1), (1.49, 1), (1.5, 2), (2.5, 3), (3.5, 4), (4.5, 5), (4.49, 4), (5.4, 5), (99.0, 5), (0.2, 1), (-7.0, 1)],
)
def test_nearest_rounds_half_up_and_clips(value, rating):
    assert FIVE.nearest(value) == rating


@given(st.floats(1.0, 5.0))
def test_nearest_is_never_more_than_half_a_rating_away(value):
    assert abs(FIVE.nearest(value) - value) <= 0.5


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_nearest_is_always_on_the_scale(value):
    assert FIVE.nearest(value) in FIVE.ratings


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_nearest_keeps_order(low, high):
    low, high = min(low, high), max(low, high)
    assert FIVE.nearest(low) <= FIVE.nearest(high)


@pytest.mark.parametrize("value", [1, 1.0, 3.7, 5, 5.0])
def test_scale_holds_fractional_values_between_its_ends(value):
    assert FIVE.holds(value)


@pytest.mark.parametrize("value", [0.999, 5.001, 0, 6, math.inf, -math.inf, math.nan])
def test_scale_holds_nothing_outside_its_ends(value):
    assert not FIVE.holds(value)


@pytest.mark.parametrize(("minimum", "maximum"), [(5, 1), (3, 3), (-1, 2), (5, 10)])
def test_ratings_are_one_digit_low_to_high(minimum, maximum):
    anchors = tuple("x" for _ in range(minimum, maximum + 1))
    with pytest.raises(ValueError, match="one-digit ratings"):
        Scale(minimum=minimum, maximum=maximum, anchors=anchors)


@pytest.mark.parametrize("count", [0, 4, 6])
def test_every_rating_has_one_anchor(count):
    with pytest.raises(ValueError, match=rf"needs 5 anchors, one per rating, got {count}"):
        Scale(anchors=("x",) * count)


def test_scale_refuses_unknown_fields():
    with pytest.raises(ValueError, match="Extra inputs"):
        Scale(step=2)
