"""Fitting a calibration: against scikit-learn and scipy, chosen by query, and small data that must not be fitted."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import linregress
from sklearn.isotonic import IsotonicRegression

from judge_serve.judging import Affine, AnswerMode
from optimize_workers.evidence.calibration_fit import (
    MIN_BIN,
    Method,
    TrainingPairs,
    cross_predict,
    fit_affine,
    fit_calibration,
    fit_isotonic,
)
from optimize_workers.evidence.reliability import equal_count_bins, reliability
from tests.builders import JUDGE, SCALE, make_example, make_judgment

EXPECTED = JUDGE.model_copy(update={"mode": AnswerMode.EXPECTED})


def drawn(count=200, slope=0.2, intercept=1.5, noise=0.05, seed=0):
    """Human ratings 1-5 and a judge that squeezes them into a part of the scale."""
    rng = np.random.default_rng(seed)
    human = rng.integers(1, 6, count).astype(float)
    return np.clip(intercept + slope * human + rng.normal(0, noise, count), 1, 5), human


def pairs_of(values, human, per_query=5):
    judgments = [make_judgment(SCALE.nearest(value), expected=float(value)) for value in values]
    examples = [make_example(gold, number=n, query_id=f"q{n // per_query}") for n, gold in enumerate(human)]
    return judgments, examples


def fit(values, human, method=Method.AUTO, per_query=5):
    return fit_calibration(EXPECTED, *pairs_of(values, human, per_query), "data", method)


# --- curves ---


def test_the_line_is_least_squares_drawn_back_by_its_error():
    values, human = drawn(noise=0.2)
    expected = linregress(values, human)
    kept = 1 - (expected.stderr / expected.slope) ** 2
    fitted = fit_affine(values, human)
    assert fitted.slope == pytest.approx(kept * expected.slope)
    assert fitted.slope * values.mean() + fitted.intercept == pytest.approx(human.mean())


def test_a_slope_that_may_be_noise_or_falls_becomes_the_mean():
    values, human = drawn()
    assert repr(fit_affine(-values, human)) == repr(Affine(slope=0.0, intercept=float(human.mean())))  # not -0.0
    values, human = np.array([1.0, 2.0] * 20 + [2.0]), np.array([1.0, 1.0, 5.0, 5.0] * 10 + [5.0])
    assert 0 < linregress(values, human).slope < linregress(values, human).stderr
    assert fit_affine(values, human) == Affine(slope=0.0, intercept=float(human.mean()))


def test_the_isotonic_curve_is_scikit_learns_over_bins():
    values, human = drawn(noise=0.3, seed=5)
    bins = equal_count_bins(values, MIN_BIN)
    assert min(map(len, bins)) >= MIN_BIN
    x = np.array([values[one].mean() for one in bins])
    reference = IsotonicRegression().fit(x, [human[one].mean() for one in bins], sample_weight=list(map(len, bins)))
    fitted = fit_isotonic(values, human)
    inside = np.linspace(x[0], x[-1], 50)
    assert [fitted.at(value) for value in inside] == pytest.approx(reference.predict(inside))


def test_ratings_with_ties_give_one_knot_each():
    human = np.array([1.0, 2.0] * 10 + [2.0, 4.0] * 10 + [5.0, 5.0] * 10)
    fitted = fit_isotonic(np.repeat([2.0, 3.0, 4.0], 20), human)
    assert fitted.x == (2.0, 3.0, 4.0)
    assert fitted.y == pytest.approx((1.5, 3.0, 5.0))


# --- choosing ---


def test_a_squeezed_judge_is_stretched():
    fitted = fit(*drawn())
    assert fitted.method in (Method.AFFINE, Method.ISOTONIC)
    assert fitted.calibration.fitted_on.n == 200
    assert fitted.calibration.fitted_on.queries == 40
    assert fitted.calibration.fitted_on.judge == EXPECTED.digest
    assert fitted.cv_nmse[str(fitted.method)] == min(fitted.cv_nmse.values()) < fitted.cv_nmse["none"] / 10
    assert fitted.after.calibration_error < 0.1 < fitted.before.calibration_error


def test_a_judge_that_bends_gets_the_isotonic_curve():
    human = np.tile([1.0, 2.0, 3.0, 4.0, 5.0], 60)
    bent = np.where(human <= 3, 1.0 + human / 50, 4.0 + human / 50)  # answers in two clumps, far apart
    fitted = fit(bent, human)
    assert fitted.method is Method.ISOTONIC
    assert fitted.cv_nmse["isotonic"] < fitted.cv_nmse["affine"]


def test_a_calibrated_judge_is_left_alone():
    human = np.tile([1.0, 2.0, 3.0, 4.0, 5.0], 20)
    fitted = fit(human, human)
    assert (fitted.method, fitted.calibration) == (Method.NONE, None)
    assert fitted.cv_nmse["none"] == 0.0
    assert "no curve was better than the judge as it is" in fitted.reason


def test_a_blind_judge_becomes_the_constant():
    _, human = drawn()
    blind = np.random.default_rng(9).uniform(1, 3, len(human))
    fitted = fit(blind, human, Method.AFFINE)
    assert fitted.calibration.value(1.0, SCALE) == pytest.approx(human.mean(), abs=0.3)
    assert fitted.calibration.value(3.0, SCALE) == pytest.approx(human.mean(), abs=0.3)


@pytest.mark.parametrize("method", [Method.AFFINE, Method.ISOTONIC])
def test_a_named_method_is_taken_whether_or_not_it_is_better(method):
    human = np.tile([1.0, 2.0, 3.0, 4.0, 5.0], 20)
    assert fit(human, human, method).method is method


def test_none_can_be_asked_for():
    fitted = fit(*drawn(), Method.NONE)
    assert (fitted.calibration, fitted.reason) == (None, "none was asked for")


def test_no_query_is_predicted_from_itself():
    """One query says the opposite of all others: its own pairs must not soften what is predicted for it."""
    values = np.tile([1.0, 2.0, 3.0, 4.0, 5.0], 8)
    human = np.where(np.arange(40) < 5, 6.0 - values, values)
    pairs = TrainingPairs(values, human, [f"q{n // 5}" for n in range(40)])
    own = cross_predict(pairs, SCALE)[Method.AFFINE][:5]
    others = fit_affine(values[5:], human[5:])
    assert fit_affine(values, human).slope < 0.8
    assert [others.at(value) for value in values[:5]] == pytest.approx(values[:5])
    assert own[4] - own[0] > 2.0


def test_fitting_is_the_same_every_time():
    assert fit(*drawn()) == fit(*drawn())


# --- what cannot be fitted ---


@pytest.mark.parametrize(
    ("values", "human", "per_query", "reason"),
    [
        ([], [], 5, "0 of 0 training judgments are readable, at least 20 are needed"),
        ([2.0] * 19, [3.0] * 19, 5, "19 of 19 training judgments are readable"),
        (np.linspace(1, 5, 40), [1.0, 5.0] * 20, 40, "of 1 queries, at least 3"),
        (np.linspace(1, 5, 40), [3.0] * 40, 5, "all human ratings of the training examples are equal"),
        ([2.5] * 40, [1.0, 5.0] * 20, 5, "answers the same to all training examples"),
    ],
)
def test_too_little_to_fit_is_said(values, human, per_query, reason):
    fitted = fit(values, human, per_query=per_query)
    assert (fitted.calibration, fitted.method, fitted.cv_nmse) == (None, Method.NONE, {})
    assert reason in fitted.reason
    json.dumps(fitted.as_dict(), allow_nan=False)


def test_unreadable_judgments_are_left_out_and_counted():
    judgments, examples = pairs_of(*drawn(60))
    invalid = [make_judgment(None) for _ in range(30)]
    fitted = fit_calibration(EXPECTED, [*invalid, *judgments[30:]], examples, "data")
    assert (fitted.num_judged, fitted.num_pairs, fitted.calibration.fitted_on.n) == (60, 30, 30)
    nothing = fit_calibration(EXPECTED, [*invalid, *invalid], examples, "data")
    assert "0 of 60 training judgments are readable" in nothing.reason


@pytest.mark.parametrize("split", ["val", "test"])
def test_other_splits_than_train_are_refused(split):
    judgments, examples = pairs_of(*drawn(40))
    examples[7] = replace(examples[7], split=split)
    with pytest.raises(ValueError, match=f"split 'train' only, got examples of {split}"):
        fit_calibration(EXPECTED, judgments, examples, "data")


# --- reliability ---


def test_bins_hold_about_equally_many_and_their_means():
    found = reliability(np.array([3.0, 1.0, 2.0, 4.0]), np.array([3.0, 2.0, 4.0, 5.0]), num_bins=2)
    assert found.bins == [(1.5, 3.0, 2), (3.5, 4.0, 2)]
    assert found.calibration_error == pytest.approx((2 * 1.5 + 2 * 0.5) / 4)


def test_equal_answers_share_a_bin_and_no_bin_is_small():
    bins = equal_count_bins(np.array([2.0, 1.0, 2.0, 2.0, 2.0, 3.0, 4.0]), 2)
    assert [one.tolist() for one in bins] == [[1, 0, 2, 3, 4], [5, 6]]
    [joined] = equal_count_bins(np.array([2.0, 1.0, 2.0, 2.0, 2.0, 3.0]), 2)  # the 3 alone is too small a bin
    assert joined.tolist() == [1, 0, 2, 3, 4, 5]


def test_reliability_of_nothing_is_empty():
    assert reliability(np.array([]), np.array([])) == ([], None)


@pytest.mark.parametrize("count", [1, 9, 10, 11, 100, 224])
def test_every_pair_is_in_one_bin(count):
    values = np.random.default_rng(count).uniform(1, 5, count)
    found = reliability(values, values)
    assert sum(one.n for one in found.bins) == count
    assert len(found.bins) <= 10
    assert found.calibration_error == 0.0
