"""All differences of two judges: values worked by hand, signs, undefined figures, few queries."""

import json
import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from optimize_workers.statistics.comparison import Comparison, compare, compare_fully
from optimize_workers.statistics.metrics import measure
from optimize_workers.statistics.resampling import MIN_GROUPS
from tests.builders import SCALE, make_example, make_examples, make_judgment

EXAMPLES = make_examples(40, "test")
PERFECT = [make_judgment(int(e.gold_rating)) for e in EXAMPLES]
CONSTANT = [make_judgment(3) for _ in EXAMPLES]
INVALID = [make_judgment(None) for _ in EXAMPLES]


def noisy(seed, spread=1, invalid_share=0.0):
    rng = np.random.default_rng(seed)
    return [
        make_judgment(None if rng.random() < invalid_share else SCALE.nearest(e.gold_rating + rng.normal(0, spread)))
        for e in EXAMPLES
    ]


def numbers_in(value):
    if isinstance(value, dict):
        return [number for one in value.values() for number in numbers_in(one)]
    if isinstance(value, list | tuple):
        return [number for one in value for number in numbers_in(one)]
    return [value]


# --- the difference of NMSE ---


def test_a_better_second_judge_has_a_difference_below_0():
    compared = compare(CONSTANT, PERFECT, EXAMPLES, SCALE)
    # the constant 3 misses by 2, 1, 0, 1, 2: (25 + 6.25 + 0 + 6.25 + 25) / 5
    assert compared.delta_nmse == -12.5
    assert compared.ci95[0] <= -12.5 <= compared.ci95[1] < 0
    assert compared.p_better == 1.0


def test_a_worse_second_judge_has_a_difference_above_0():
    compared = compare(PERFECT, CONSTANT, EXAMPLES, SCALE)
    assert compared.delta_nmse == 12.5
    assert compared.ci95[0] > 0
    assert compared.p_better == 0.0


def test_a_judge_is_no_better_than_itself():
    assert compare(CONSTANT, CONSTANT, EXAMPLES, SCALE) == Comparison(0.0, (0.0, 0.0), 0.0)


def test_invalid_judgments_count_against_the_second_judge():
    half = [make_judgment(None) if n % 2 else judgment for n, judgment in enumerate(PERFECT)]
    assert compare(PERFECT, half, EXAMPLES, SCALE).delta_nmse == 50.0


def test_pairing_makes_the_interval_narrow():
    # both judges miss widely, the second always by the same 0.25 rating less
    first = [make_judgment(5, expected=4.5) for _ in EXAMPLES]
    second = [make_judgment(5, expected=4.25) for _ in EXAMPLES]
    low, high = compare(first, second, EXAMPLES, SCALE).ci95
    wide_low, wide_high = measure(second, EXAMPLES, SCALE).nmse_ci95
    assert high - low < (wide_high - wide_low) / 2


def test_the_same_seed_gives_the_same_interval():
    assert compare(CONSTANT, PERFECT, EXAMPLES, SCALE, 1) == compare(CONSTANT, PERFECT, EXAMPLES, SCALE, 1)
    assert compare(CONSTANT, PERFECT, EXAMPLES, SCALE, 1) != compare(CONSTANT, PERFECT, EXAMPLES, SCALE, 2)


@pytest.mark.parametrize("num_queries", [1, 2, MIN_GROUPS - 1])
def test_too_few_queries_never_say_that_a_judge_is_better(num_queries):
    examples = [make_example(e.gold_rating, number=n, query_id=f"q{n % num_queries}") for n, e in enumerate(EXAMPLES)]
    assert compare(CONSTANT, PERFECT, examples, SCALE) == Comparison(-12.5, (-100.0, 100.0), 0.5)


def test_the_difference_of_nmse_is_the_same_in_both():
    first, second = noisy(1, invalid_share=0.1), noisy(2)
    compared, fully = compare(first, second, EXAMPLES, SCALE), compare_fully(first, second, EXAMPLES, SCALE)
    assert (fully.nmse.delta, fully.nmse.p_better) == pytest.approx((compared.delta_nmse, compared.p_better))
    assert fully.nmse.ci95 == pytest.approx(compared.ci95)


def test_nothing_cannot_be_compared():
    for comparing in (compare, compare_fully):
        with pytest.raises(ValueError, match="no judgments"):
            comparing([], [], [], SCALE)


# --- all differences ---


def test_each_judge_has_the_figures_that_measure_gives():
    first, second = noisy(1, invalid_share=0.2), noisy(2, 0.5)
    found = compare_fully(first, second, EXAMPLES, SCALE)
    for place, judgments in (("first", first), ("second", second)):
        figures = measure(judgments, EXAMPLES, SCALE)
        assert getattr(found.nmse, place) == pytest.approx(figures.nmse)
        assert getattr(found.validity, place) == pytest.approx(figures.validity)
        assert getattr(found.qwk, place) == pytest.approx(figures.qwk)
        assert getattr(found.bias, place) == pytest.approx(figures.bias)
        assert getattr(found.abs_bias, place) == pytest.approx(abs(figures.bias))


def test_a_judge_with_a_bias_nearer_0_is_better_in_it_whatever_the_sign():
    low = [make_judgment(3, expected=max(e.gold_rating - 0.2, 1.0)) for e in EXAMPLES]  # -0.2 but at 1: -0.16
    high = [make_judgment(3, expected=min(e.gold_rating + 0.5, 5.0)) for e in EXAMPLES]  # 0.5 but at 5: 0.4
    found = compare_fully(high, low, EXAMPLES, SCALE)
    assert (found.bias.first, found.bias.second) == (pytest.approx(0.4), pytest.approx(-0.16))
    assert found.bias.delta == pytest.approx(-0.56)
    assert found.abs_bias.delta == pytest.approx(-0.24)
    assert found.abs_bias.ci95[1] < 0
    assert (found.abs_bias.p_better, found.bias.p_better) == (1.0, None)


def test_a_validity_that_rises_is_better():
    half = [make_judgment(None) if n % 2 else judgment for n, judgment in enumerate(PERFECT)]
    found = compare_fully(half, PERFECT, EXAMPLES, SCALE).validity
    assert (found.n, found.first, found.second, found.delta, found.p_better) == (40, 0.5, 1.0, 0.5, 1.0)
    assert found.ci95[0] == pytest.approx(0.5 - 1.96 * math.sqrt(0.25 / 40), abs=0.03)
    assert found.ci95[1] == pytest.approx(0.5 + 1.96 * math.sqrt(0.25 / 40), abs=0.03)


def test_kappa_rises_from_a_random_to_a_perfect_judge():
    found = compare_fully(noisy(1, 2.0), PERFECT, EXAMPLES, SCALE).qwk
    rated = [judgment.rating for judgment in noisy(1, 2.0)]
    kappa = cohen_kappa_score(rated, [int(e.gold_rating) for e in EXAMPLES], weights="quadratic")
    assert (found.first, found.second) == (pytest.approx(kappa), 1.0)
    assert 0 < found.ci95[0] < found.delta < found.ci95[1]
    assert found.p_better == 1.0


def test_grades_are_human_ratings_rounded_half_up():
    examples = [make_example(2.5 if n % 2 else 1.0, number=n) for n in range(40)]
    ones = [make_judgment(1) for _ in examples]
    threes = [make_judgment(3) for _ in examples]
    found = compare_fully(ones, threes, examples, SCALE).grades
    assert set(found) == {1, 3}
    # 1 for 2.5 costs 100 (1.5 / 4)^2 = 14.0625, 3 for it 1.5625; 3 for 1 costs 25
    assert (found[1].n, found[1].first, found[1].second, found[1].ci95) == (20, 0.0, 25.0, (25.0, 25.0))
    assert (found[3].n, found[3].first, found[3].second, found[3].delta) == (20, 14.0625, 1.5625, -12.5)
    assert (found[1].p_better, found[3].p_better) == (0.0, 1.0)


def test_a_grade_of_few_queries_has_no_interval():
    examples = [make_example(1.0 if n < MIN_GROUPS - 1 else 5.0, number=n) for n in range(40)]
    found = compare_fully(CONSTANT, PERFECT, examples, SCALE).grades
    assert (found[1].n, found[1].ci95, found[1].p_better) == (MIN_GROUPS - 1, None, None)
    assert found[5].ci95 is not None


# --- undefined figures ---


@pytest.mark.parametrize(
    ("first", "second"), [(INVALID, PERFECT), (PERFECT, INVALID), (INVALID, INVALID), (CONSTANT, PERFECT)]
)
@pytest.mark.parametrize("num_examples", [1, 5, 40])
def test_no_difference_is_nan(first, second, num_examples):
    found = compare_fully(first[:num_examples], second[:num_examples], EXAMPLES[:num_examples], SCALE).as_dict()
    json.dumps(found, allow_nan=False)
    assert all(value is None or math.isfinite(value) for value in numbers_in(found))


def test_bias_and_kappa_are_undefined_for_a_judge_without_a_valid_judgment():
    found = compare_fully(INVALID, PERFECT, EXAMPLES, SCALE)
    assert found.qwk == (0, None, 1.0, None, None, None)
    assert found.bias == (0, None, 0.0, None, None, None)
    assert found.abs_bias == (0, None, 0.0, None, None, None)
    assert found.nmse.delta == -100.0


def test_one_grade_has_no_kappa():
    examples = [make_example(3.0, number=n) for n in range(40)]
    found = compare_fully(CONSTANT, CONSTANT, examples, SCALE)
    assert (found.qwk.first, found.qwk.delta, found.qwk.ci95) == (None, None, None)
    assert set(found.grades) == {3}


def test_a_rare_valid_judgment_gives_a_bias_without_an_interval():
    one = [make_judgment(3), *INVALID[1:]]
    found = compare_fully(one, PERFECT, EXAMPLES, SCALE).bias
    assert (found.n, found.first, found.delta, found.ci95) == (1, 2.0, -2.0, None)
