"""Agreement of readings: the error rates that its module promises, computed and drawn."""

from math import comb

import pytest

from optimize_workers.statistics.agreement import (
    CHANCE,
    LEVEL,
    Agreement,
    agrees_at_once,
    compare_readings,
    majority,
)

TWENTY = ("1", "2", "3", "4", "5") * 4


def with_changes(count):
    return tuple("x" if place < count else reading for place, reading in enumerate(TWENTY))


@pytest.mark.parametrize(
    ("count", "is_changed"), [(0, False), (1, False), (2, False), (3, True), (10, True), (20, True)]
)
def test_three_settled_disagreements_of_twenty_are_a_change(count, is_changed):
    found = compare_readings(TWENTY, with_changes(count), flips=0)
    assert (found.n, found.agree, found.is_changed, found.is_same) == (20, 20 - count, is_changed, not is_changed)


def test_the_error_rates_are_those_of_the_docstring():
    wrong = 2 * (3 * CHANCE**2 - 2 * CHANCE**3)
    false_alarm = sum(comb(20, k) * wrong**k * (1 - wrong) ** (20 - k) for k in range(3, 21))
    assert false_alarm == pytest.approx(1.5e-5, abs=1e-6) and false_alarm < LEVEL
    assert 300 * false_alarm < 0.005
    overlooked_once = sum(comb(20, k) for k in range(2)) / 2**20  # a change on half that single answers hide
    overlooked = sum(comb(20, k) for k in range(3)) / 2**20
    assert overlooked + overlooked_once == pytest.approx(2.2e-4, abs=1e-5)


@pytest.mark.parametrize(("flips", "needed"), [(0, 3), (1, 3), (4, 7), (8, 13)])
def test_a_model_that_flips_more_needs_more_to_count_as_changed(flips, needed):
    found = [compare_readings(TWENTY, with_changes(count), flips=flips) for count in (needed - 1, needed)]
    assert [one.is_changed for one in found] == [False, True]


@pytest.mark.parametrize("answered", [0, 1, 9])
def test_of_few_answers_nothing_is_said(answered):
    now = tuple(reading if place < answered else None for place, reading in enumerate(TWENTY))
    for other in (TWENTY, with_changes(20)):
        found = compare_readings(other, now, flips=0)
        assert (found.is_measured, found.is_same, found.is_changed) == (False, False, False)
        assert not agrees_at_once(other, now)


def test_single_answers_agree_at_once_with_one_flip_and_no_more():
    assert [agrees_at_once(TWENTY, with_changes(count)) for count in (0, 1, 2)] == [True, True, False]


@pytest.mark.parametrize(
    ("n", "agree", "low", "high"),
    [(20, 20, 0.839, 1.0), (20, 0, 0.0, 0.161), (20, 10, 0.299, 0.701), (1, 1, 0.207, 1.0)],
)
def test_the_interval_is_wilsons(n, agree, low, high):
    assert Agreement(n, agree, 1.0).ci95 == pytest.approx((low, high), abs=1e-3)


def test_nothing_has_no_interval():
    assert Agreement(0, 0, 1.0).as_dict() == {"n": 0, "agree": 0, "share": None, "ci95": None}


@pytest.mark.parametrize(
    ("answers", "found"),
    [(["a", "b", "b"], "b"), (["a", "b", "c"], "a"), (["a", None, "b"], "a"), ([None], None), ([], None)],
)
def test_the_majority_is_the_commonest_and_of_equals_the_first(answers, found):
    assert majority(answers) == found
