"""Accepting a change: the paired test and the floors; values worked by hand."""

import numpy as np
import pytest

from optimize_workers.statistics.acceptance import broken_floor, chance_of_no_fall, chance_of_no_gain
from tests.builders import SCALE, make_example, make_examples, make_judgment

EXAMPLES = make_examples(20)  # four of each grade
RIGHT = [make_judgment(int(example.gold_rating)) for example in EXAMPLES]


def floor(candidate, baseline=RIGHT, examples=EXAMPLES, min_validity=0.9, grade_margin=5.0):
    return broken_floor(candidate, baseline, examples, SCALE, min_validity=min_validity, grade_margin=grade_margin)


def test_a_gain_on_every_example_is_sure_and_none_is_none():
    assert chance_of_no_gain([0.9] * 20, [0.8] * 20, EXAMPLES) < 0.001
    assert chance_of_no_gain([0.8] * 20, [0.8] * 20, EXAMPLES) == 1.0
    assert chance_of_no_gain([0.7] * 20, [0.8] * 20, EXAMPLES) == 1.0


def test_gains_of_one_query_are_one_gain():
    """Ten gains and ten losses, all gains in one query: the sum is as large in the half of flips that keep its sign."""
    examples = [make_example(number=n, query_id="a" if n < 10 else "b") for n in range(20)]
    scores = [0.9] * 10 + [0.75] * 10
    assert chance_of_no_gain(scores, [0.8] * 20, examples) == 0.5


@pytest.mark.parametrize("num_queries", range(1, 6))
def test_a_gain_in_each_of_few_queries_is_as_likely_as_their_signs(num_queries):
    examples = [make_example(number=n, query_id=f"q{n % num_queries}") for n in range(60)]
    assert chance_of_no_gain([0.9] * 60, [0.8] * 60, examples) == 0.5**num_queries


@pytest.mark.parametrize("num_queries", [1, 2, 3, 4, 5, 8, 12, 13, 20, 40])
def test_noise_is_accepted_as_rarely_as_the_level_says(num_queries):
    """Queries of five examples; what a change does to a query is noise, as is what it does to an example."""
    drawn = np.random.default_rng(num_queries)
    examples = [make_example(number=n, query_id=f"q{n // 5}") for n in range(5 * num_queries)]
    num_accepted = 0
    for _ in range(600):
        gains = np.repeat(drawn.normal(0.0, 0.05, num_queries), 5) + drawn.normal(0.0, 0.05, len(examples))
        num_accepted += chance_of_no_gain((0.5 + gains).tolist(), [0.5] * len(examples), examples) <= 0.05
    assert num_accepted / 600 <= (0.075 if num_queries >= 5 else 0.0)


def test_a_gain_in_most_of_many_queries_is_shown():
    gains = [0.05] * 14 + [-0.05] * 6  # 5.8 % of fair coins show as many heads
    assert 0.03 < chance_of_no_gain([0.5 + gain for gain in gains], [0.5] * 20, EXAMPLES) < 0.08
    assert chance_of_no_gain([0.5 + gain for gain in gains[:14]], [0.5] * 14, EXAMPLES[:14]) < 0.001


def test_an_unreadable_reply_does_not_decide():
    gains = [0.9] * 19 + [0.0]
    assert chance_of_no_gain(gains, [0.8] * 20, EXAMPLES) < 0.05


def test_a_loss_under_the_margin_is_shown_and_one_of_the_margin_is_not():
    """Each of four queries loses 0.01: allowed 0.02 they gain 0.01 each, of which all signs are as large once in 16."""
    examples = [make_example(number=n, query_id=f"q{n % 4}") for n in range(20)]
    lower = [0.79] * 20
    assert chance_of_no_gain(lower, [0.8] * 20, examples, margin=0.02) == 1 / 16
    assert chance_of_no_gain(lower, [0.8] * 20, examples, margin=0.01) == 1.0
    assert chance_of_no_gain([0.8] * 20, [0.8] * 20, examples, margin=0.01) == 1 / 16


@pytest.mark.parametrize("num_queries", [8, 40])
def test_a_loss_of_the_margin_passes_as_rarely_as_the_level_says(num_queries):
    drawn = np.random.default_rng(num_queries)
    examples = [make_example(number=n, query_id=f"q{n // 5}") for n in range(5 * num_queries)]
    num_passed = 0
    for _ in range(600):
        gains = drawn.normal(-0.01, 0.05, len(examples))
        num_passed += chance_of_no_gain((0.5 + gains).tolist(), [0.5] * len(examples), examples, 0.01) <= 0.05
    assert num_passed / 600 <= 0.075


@pytest.mark.parametrize(
    ("num_lost", "num_regained", "p_value"),
    [
        (0, 0, 1.0),
        (0, 3, 1.0),
        (1, 0, 1 / 2),
        (3, 0, 1 / 8),
        (4, 0, 1 / 16),
        (5, 1, 7 / 64),  # 6 of 6 or 5 of 6
        (6, 1, 8 / 128),
        (2, 2, 11 / 16),
    ],
)
def test_a_fall_in_validity_is_as_likely_as_so_many_heads(num_lost, num_regained, p_value):
    none, some = make_judgment(None), make_judgment()
    before = [*[some] * num_lost, *[none] * num_regained, some, none]
    after = [*[none] * num_lost, *[some] * num_regained, some, none]
    assert chance_of_no_fall(after, before) == p_value


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


def test_one_reply_in_a_grade_may_cost_it_its_margin():
    """A five that becomes a one, of six: 100 / 6 points; no bound hides it."""
    examples = make_examples(30)
    right = [make_judgment(int(example.gold_rating)) for example in examples]
    worse = [*right[:-1], make_judgment(1)]
    assert floor(worse, right, examples) == "grade 5 loses 16.7 NMSE points, at most 5 are allowed"
    assert floor(worse, right, examples, grade_margin=17.0) is None


def test_unreadable_replies_of_either_do_not_count_against_a_grade():
    examples = make_examples(50)  # ten of each grade
    right = [make_judgment(int(example.gold_rating)) for example in examples]
    unreadable = [*right[:-1], make_judgment(None)]
    assert floor(unreadable, right, examples) is None
    assert floor(right, unreadable, examples) is None
