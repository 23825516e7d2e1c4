"""Accepting a change: the paired test and the floors; values worked by hand."""

import pytest

from optimize_workers.accepting import broken_floor, chance_of_no_gain
from tests.builders import SCALE, make_example, make_examples, make_judgment

EXAMPLES = make_examples(20)  # four of each grade
RIGHT = [make_judgment(int(example.gold_rating)) for example in EXAMPLES]


def floor(candidate, baseline=RIGHT, examples=EXAMPLES, min_validity=0.9, grade_margin=5.0):
    return broken_floor(candidate, baseline, examples, SCALE, min_validity=min_validity, grade_margin=grade_margin)


def test_a_gain_on_every_example_is_sure_and_none_is_none():
    assert chance_of_no_gain([0.9] * 20, [0.8] * 20, EXAMPLES) == 0.0
    assert chance_of_no_gain([0.8] * 20, [0.8] * 20, EXAMPLES) == 1.0
    assert chance_of_no_gain([0.7] * 20, [0.8] * 20, EXAMPLES) == 1.0


def test_gains_of_one_query_are_one_gain():
    """Ten gains and ten losses, all gains in one query: in a quarter of the resamples it is drawn twice, in a quarter
    not at all, and otherwise the sum is above 0 as gains are larger.
    """
    examples = [make_example(number=n, query_id="a" if n < 10 else "b") for n in range(20)]
    scores = [0.9] * 10 + [0.75] * 10
    assert chance_of_no_gain(scores, [0.8] * 20, examples) == pytest.approx(0.25, abs=0.03)


def test_an_unreadable_reply_does_not_decide():
    gains = [0.9] * 19 + [0.0]
    assert chance_of_no_gain(gains, [0.8] * 20, EXAMPLES) < 0.05


def test_what_changes_nothing_breaks_no_floor():
    assert floor(RIGHT) is None


def test_too_many_unreadable_replies_break_the_floor_of_validity():
    assert floor([*RIGHT[:18], make_judgment(None), make_judgment(None)]) is None
    broken = [*RIGHT[:17], *(make_judgment(None) for _ in range(3))]
    assert floor(broken) == "validity 0.85 is under 0.9"


def test_a_grade_that_pays_for_the_others_breaks_its_floor():
    """Every five becomes a three: (2 / 4)^2 is 25 points of NMSE."""
    examples = make_examples(30)  # six of each grade
    right = [make_judgment(int(example.gold_rating)) for example in examples]
    worse = [make_judgment(3 if e.gold_rating == 5 else int(e.gold_rating)) for e in examples]
    assert floor(worse, right, examples) == "grade 5 loses 25.0 NMSE points, at most 5 are allowed"
    assert floor(worse, right, examples, grade_margin=25.0) is None


def test_a_grade_of_few_examples_is_not_looked_at():
    worse = [make_judgment(3 if e.gold_rating == 5 else int(e.gold_rating)) for e in EXAMPLES]
    assert floor(worse) is None
