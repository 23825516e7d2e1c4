"""Intervals by resampling: as wide as theory says, whole queries together, none where queries are too few."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from optimize_workers.statistics.resampling import MIN_GROUPS, Groups, estimate_of, mean_estimates, mean_interval


def names(count, of_each=1):
    return [f"q{number // of_each}" for number in range(count)]


@given(st.lists(st.floats(0, 100), min_size=MIN_GROUPS, max_size=20))
def test_the_interval_is_ordered_holds_the_mean_and_stays_in_its_bounds(values):
    low, high = mean_interval(np.array(values), names(len(values)), bounds=(0.0, 100.0))
    assert 0.0 <= low <= np.mean(values) + 1e-9
    assert np.mean(values) - 1e-9 <= high <= 100.0


def test_many_queries_give_the_width_of_theory():
    # 400 queries, half 0 and half 100: standard error 50 / 20 = 2.5, so about 50 -+ 4.9
    low, high = mean_interval(np.array([0.0, 100.0] * 200), names(400))
    assert low == pytest.approx(50 - 4.9, abs=0.2)
    assert high == pytest.approx(50 + 4.9, abs=0.2)


def test_few_queries_give_about_the_width_of_a_t_interval():
    values = np.random.default_rng(0).normal(size=12)
    low, high = mean_interval(values, names(12))
    t_low, t_high = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    assert high - low == pytest.approx(t_high - t_low, rel=0.2)


def test_the_interval_reaches_further_on_the_side_of_rare_losses():
    values = np.array([100.0, *[0.0, 6.25] * 20])
    low, high = mean_interval(values, names(41))
    assert high - values.mean() > 1.5 * (values.mean() - low)


def test_values_of_one_query_count_as_one():
    # 16 queries with 10 equal values each say as much as the 16 values
    values = np.random.default_rng(1).normal(size=16)
    assert mean_interval(np.repeat(values, 10), names(160, 10)) == pytest.approx(mean_interval(values, names(16)))


def test_resamples_take_whole_groups():
    groups = Groups(["a", "a", "b", "b"])
    sums = groups.resampled(groups.sums(np.array([[1.0, 2.0, 10.0, 20.0]])))
    assert set(np.unique(sums).tolist()) == {6.0, 33.0, 60.0}
    assert (sums == 33.0).mean() == pytest.approx(0.5, abs=0.02)


def test_every_group_is_drawn_equally_often():
    groups = Groups(names(7), num_resamples=20_000)
    drawn = groups.resampled(np.eye(7)).mean(axis=1)
    assert drawn == pytest.approx(np.ones(7), abs=0.03)


def test_many_groups_are_drawn_in_parts():
    groups = Groups(names(70_000), num_resamples=4)  # one resample is a part
    assert groups.resampled(np.ones((1, 70_000))).tolist() == [[70_000.0] * 4]


def test_rows_are_resampled_alike_so_that_differences_pair():
    first, second = Groups(names(9)).resampled(np.stack([np.arange(9.0), np.arange(9.0) + 1.0]))
    assert np.allclose(second - first, 9.0)


def test_the_interval_is_the_same_for_the_same_seed():
    values = np.arange(20, dtype=np.float64)
    assert mean_interval(values, names(20), seed=1) == mean_interval(values, names(20), seed=1)
    assert mean_interval(values, names(20), seed=1) != mean_interval(values, names(20), seed=2)


@pytest.mark.parametrize("num_queries", [1, 2, MIN_GROUPS - 1])
def test_too_few_queries_give_no_interval(num_queries):
    assert mean_interval(np.arange(40.0), [f"q{number % num_queries}" for number in range(40)]) is None


def test_what_does_not_vary_between_queries_has_no_width():
    assert mean_interval(np.full(10, 2.5), names(10)) == (2.5, 2.5)


def test_values_without_weight_are_left_out():
    values = np.array([[1.0] * 10 + [50.0] * 10])
    weights = np.array([[1.0] * 10 + [0.0] * 10])
    (estimate,) = mean_estimates(values, Groups(names(20)), [(0.0, 100.0)], weights)
    assert (estimate.value, estimate.ci95) == (1.0, (1.0, 1.0))


def test_a_row_without_any_weight_has_no_mean():
    assert mean_estimates(np.ones((1, 9)), Groups(names(9)), [(0, 1)], np.zeros((1, 9))) == [None]


def test_only_queries_with_weight_count_for_an_interval():
    weights = np.array([[1.0] * (MIN_GROUPS - 1) + [0.0] * 10])
    (estimate,) = mean_estimates(np.ones((1, MIN_GROUPS + 9)), Groups(names(MIN_GROUPS + 9)), [(0, 1)], weights)
    assert (estimate.value, estimate.ci95) == (1.0, None)


def test_a_statistic_that_is_often_undefined_has_no_interval():
    resampled = np.array([math.nan] * 6 + [1.0] * 94)
    assert estimate_of(1.0, resampled, 50).ci95 is None
    assert estimate_of(1.0, resampled[2:], 50).ci95 == (1.0, 1.0)
