"""The figures, worked by hand."""

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from judge_serve.judging import InvalidReason, Scale
from optimize_workers.statistics.metrics import (
    example_score,
    losses,
    measure,
    nmse,
    quadratic_weighted_kappa,
)
from tests.builders import SCALE, make_example, make_examples, make_judgment

golds = st.floats(1.0, 5.0)
ratings = st.none() | st.integers(1, 5)
pairs = st.lists(st.tuples(golds, ratings), min_size=1, max_size=30)


def figures(*gold_and_rating, query_ids=None):
    """Figures of (gold, rating or None) pairs, each of its own query unless said otherwise."""
    examples = [
        make_example(gold, number=number, query_id=query_ids[number] if query_ids else None)
        for number, (gold, _) in enumerate(gold_and_rating)
    ]
    return measure([make_judgment(rating) for _, rating in gold_and_rating], examples, SCALE)


def nmse_of(*gold_and_rating):
    gold = np.array([gold for gold, _ in gold_and_rating], dtype=np.float64)
    return nmse([make_judgment(rating) for _, rating in gold_and_rating], gold, SCALE)


# --- NMSE ---


def test_a_perfect_judge_has_no_error():
    assert nmse_of((1, 1), (5, 5), (3, 3)) == 0.0


def test_the_widest_miss_on_every_example_is_100():
    assert nmse_of((1, 5), (5, 1)) == 100.0


def test_an_invalid_judgment_counts_100():
    assert nmse_of((3, None)) == 100.0


@pytest.mark.parametrize(("rating", "loss"), [(3, 0.0), (4, 6.25), (2, 6.25), (5, 25.0), (1, 25.0)])
def test_a_miss_is_squared_over_the_widest_miss(rating, loss):
    assert nmse_of((3, rating)) == loss


def test_the_reference_arithmetic_of_498_valid_and_358_invalid():
    # 498 off by one: 6.25 each; 358 invalid: 100 each; (3112.5 + 35800) / 856
    pairs = [(3, 4)] * 498 + [(3, None)] * 358
    assert nmse_of(*pairs) == pytest.approx(45.45853, abs=1e-5)


def test_498_perfect_judgments_do_not_make_up_for_358_invalid_ones():
    pairs = [(3, 3)] * 498 + [(3, None)] * 358
    found = figures(*pairs)
    assert found.nmse == pytest.approx(41.82243, abs=1e-5)
    assert (found.valid, found.invalid, found.nmse_valid) == (498, 358, 0.0)


def test_error_is_taken_against_the_human_mean_as_it_is():
    # (0.5 / 4) ^ 2 = 1.5625 %
    assert nmse_of((2.5, 3)) == 1.5625


def test_error_uses_the_expected_rating_where_there_is_one():
    # (3.4 - 2.5) / 4 = 0.225, squared 0.050625
    found = measure([make_judgment(3, expected=3.4)], [make_example(2.5)], SCALE)
    assert found.nmse == pytest.approx(5.0625)


def test_the_rounded_error_rounds_judge_and_human():
    # the human mean 2.5 rounds half up to 3, which the judge says
    found = measure([make_judgment(3, expected=3.4)], [make_example(2.5)], SCALE)
    assert found.nmse_rounded == 0.0


def test_the_rounded_error_counts_invalid_judgments_as_100():
    assert figures((2.4, 3), (3, None)).nmse_rounded == pytest.approx((6.25 + 100) / 2)


def test_the_scale_decides_how_wide_a_miss_is():
    binary = Scale(minimum=0, maximum=1, anchors=("no", "yes"))
    assert nmse([make_judgment(1)], np.array([0.5]), binary) == 25.0


def test_losses_keep_the_order_of_the_judgments():
    found = losses([make_judgment(5), make_judgment(None), make_judgment(1)], np.array([5.0, 5.0, 5.0]), SCALE)
    assert found.tolist() == [0.0, 100.0, 100.0]


@given(pairs)
def test_nmse_lies_between_0_and_100(pairs):
    assert 0.0 <= nmse_of(*pairs) <= 100.0


@given(pairs)
def test_the_mean_score_is_what_nmse_leaves(pairs):
    scores = [example_score(make_judgment(rating), make_example(gold), SCALE) for gold, rating in pairs]
    assert sum(scores) / len(scores) == pytest.approx(1 - nmse_of(*pairs) / 100)


@given(pairs, st.randoms(use_true_random=False))
def test_the_order_of_examples_changes_no_figure(pairs, chance):
    shuffled = list(pairs)
    random.Random(chance.random()).shuffle(shuffled)
    one, other = figures(*pairs).as_dict(), figures(*shuffled).as_dict()
    for name in ("nmse", "nmse_valid", "nmse_rounded", "nmse_constant", "bias", "qwk", "exact", "within_one"):
        assert other[name] == (None if one[name] is None else pytest.approx(one[name], abs=1e-9)), name
    assert one["confusion"] == other["confusion"]


@pytest.mark.parametrize(("rating", "score"), [(3, 1.0), (4, 0.9375), (5, 0.75), (None, 0.0)])
def test_scores_by_hand(rating, score):
    assert example_score(make_judgment(rating), make_example(3), SCALE) == score


# --- what stands beside it ---


def test_all_figures_of_three_examples_by_hand():
    found = figures((1, 1), (3, 4), (5, None))
    assert (found.n, found.valid, found.invalid) == (3, 2, 1)
    assert found.validity == pytest.approx(2 / 3)
    assert found.invalid_reasons == {"not_json": 1}
    assert found.nmse == pytest.approx((0 + 6.25 + 100) / 3)
    assert found.nmse_valid == pytest.approx(3.125)
    assert found.nmse_constant == pytest.approx((25 + 0 + 25) / 3)
    assert found.skill == pytest.approx(1 - 106.25 / 50)
    assert found.bias == pytest.approx(0.5)
    assert (found.exact, found.within_one) == (0.5, 1.0)
    assert found.confusion == [[1, 0, 0, 0, 0], [0] * 5, [0, 0, 0, 1, 0], [0] * 5, [0] * 5]


def test_the_constant_answer_is_the_mean_of_these_very_examples():
    # mean 2: misses 1, 1, 0 -> (6.25 + 6.25 + 0) / 3
    assert figures((1, 1), (3, 3), (2, 2)).nmse_constant == pytest.approx(12.5 / 3)


def test_a_judge_that_answers_the_mean_has_no_skill():
    assert figures((2, 3), (4, 3)).skill == 0.0


def test_a_perfect_judge_has_full_skill():
    assert figures((2, 2), (4, 4)).skill == 1.0


@pytest.mark.parametrize(("rating", "bias"), [(5, 2.0), (1, -2.0)])
def test_bias_is_positive_for_a_generous_judge(rating, bias):
    assert figures((3, rating)).bias == bias


def test_bias_leaves_invalid_judgments_out():
    assert figures((3, 4), (1, None)).bias == 1.0


def test_confusion_counts_human_rows_and_judge_columns():
    confusion = figures((1, 5)).confusion
    assert confusion[0][4] == 1
    assert sum(map(sum, confusion)) == 1


def test_counts_round_the_human_mean_half_up():
    found = figures((2.5, 3), (2.4, 3))
    assert (found.exact, found.within_one) == (0.5, 1.0)


def test_reasons_are_counted_by_name():
    judgments = [make_judgment(None, reason=reason) for reason in (InvalidReason.REFUSAL, InvalidReason.REFUSAL)]
    judgments.append(make_judgment(None, reason=InvalidReason.TRUNCATED))
    found = measure(judgments, [make_example(3, number=n) for n in range(3)], SCALE)
    assert found.invalid_reasons == {"refusal": 2, "truncated": 1}


def test_the_largest_share_counts_the_judges_ratings():
    judgments = [make_judgment(rating) for rating in (2, 2, 2, 5)]
    found = measure(judgments, make_examples(4), SCALE)
    assert found.largest_rating_share == found.as_dict()["largest_rating_share"] == 0.75
    assert sum(found.rating_counts.values()) == 4


def test_the_largest_share_of_nothing_is_0():
    assert measure([make_judgment(None)], make_examples(1), SCALE).largest_rating_share == 0.0


# --- agreement ---


def confusion_of(*human_and_judge):
    counts = np.zeros((5, 5), dtype=np.int64)
    for human, judge in human_and_judge:
        counts[human - 1, judge - 1] += 1
    return counts


def test_weighted_kappa_by_hand():
    # disagreement 4 (one pair 3 -> 1); expected 26 / 4 = 6.5; 1 - 4 / 6.5
    assert quadratic_weighted_kappa(confusion_of((1, 1), (2, 2), (3, 3), (3, 1))) == pytest.approx(1 - 4 / 6.5)


def test_agreement_as_by_chance_has_kappa_0():
    assert quadratic_weighted_kappa(confusion_of((1, 1), (1, 2), (2, 1), (2, 2))) == pytest.approx(0.0)


def test_full_agreement_has_kappa_1():
    assert quadratic_weighted_kappa(confusion_of((1, 1), (5, 5))) == 1.0


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=40))
def test_weighted_kappa_agrees_with_scikit_learn(human_and_judge):
    found = quadratic_weighted_kappa(confusion_of(*human_and_judge))
    human, judge = zip(*human_and_judge, strict=True)
    if len(set(human) | set(judge)) == 1:
        assert found is None
        return
    theirs = cohen_kappa_score(human, judge, labels=[1, 2, 3, 4, 5], weights="quadratic")
    assert found == pytest.approx(theirs, abs=1e-9)


# --- what is undefined is None, never NaN ---


def test_without_a_valid_judgment_only_counts_and_nmse_remain():
    found = figures(*[(1, None), (5, None)] * 4)
    assert (found.nmse, found.nmse_rounded, found.nmse_ci95) == (100.0, 100.0, (100.0, 100.0))
    assert (found.nmse_valid, found.bias, found.qwk, found.exact, found.within_one) == (None,) * 5


def test_one_human_grade_has_no_skill_and_no_kappa():
    found = figures((3, 3), (3, 3))
    assert (found.nmse_constant, found.skill, found.qwk) == (0.0, None, None)


def test_one_query_says_nothing_about_others():
    found = figures(*[(1, 1), (1, 3)] * 20, query_ids=["q"] * 40)
    assert (found.nmse, found.nmse_ci95) == (12.5, (0.0, 100.0))


@given(pairs)
def test_figures_have_a_strict_json_form(pairs):
    json.dumps(figures(*pairs).as_dict(), allow_nan=False)


def test_the_json_form_holds_the_validity():
    assert figures((3, 3), (3, None)).as_dict()["validity"] == 0.5


# --- intervals ---


def test_the_interval_of_the_nmse_stays_within_0_and_100():
    low, high = figures(*[(1, 1)] * 9, (5, 1)).nmse_ci95  # one widest miss in ten
    assert 0.0 == low < 10.0 < high <= 100.0


def test_few_queries_give_no_interval_but_the_whole_range():
    assert figures(*[(1, 1)] * 7).nmse_ci95 == (0.0, 100.0)


# --- callers' mistakes ---


def test_figures_of_nothing_are_undefined():
    with pytest.raises(ValueError, match="no judgments"):
        measure([], [], SCALE)


def test_nmse_of_nothing_is_undefined():
    with pytest.raises(ValueError, match="no judgments"):
        nmse([], np.array([]), SCALE)


def test_judgments_and_examples_must_pair_up():
    with pytest.raises(ValueError, match="1 judgments for 2 human ratings"):
        measure([make_judgment(3)], [make_example(3), make_example(3, number=1)], SCALE)


def test_no_figure_is_nan():
    found = figures((1, None), (3, 3))
    assert not any(isinstance(value, float) and math.isnan(value) for value in found.as_dict().values())


def test_the_mean_mass_on_the_digits_is_shown_where_there_is_one():
    examples = [make_example(3.0, number=number) for number in range(3)]
    plain = [make_judgment(3), make_judgment(3), make_judgment(None)]
    assert "mean_digit_mass" not in measure(plain, examples, SCALE).as_dict()
    masses = [replace(plain[0], digit_mass=0.9), replace(plain[2], digit_mass=0.1), plain[1]]
    assert measure(masses, examples, SCALE).as_dict()["mean_digit_mass"] == pytest.approx(0.5)
