"""The human ceiling: values worked by hand, Krippendorff's published example, kappa as scikit-learn has it."""

import json
import math
from dataclasses import replace

import pytest
from sklearn.metrics import cohen_kappa_score

from optimize_workers.evidence.ceiling import human_ceiling, ordinal_alpha
from tests.builders import SCALE, make_example, make_judgment


def rated(*ratings, number=0):
    return replace(make_example(sum(ratings) / len(ratings), number=number), gold_ratings=tuple(map(float, ratings)))


def pairs_of(*units):
    return [rated(*unit, number=number) for number, unit in enumerate(units)]


# --- alpha ---


def test_alpha_is_that_of_krippendorffs_example():
    observers = [  # 4 observers, 12 units; 0 is no rating
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
    units = [[value for value in unit if value] for unit in zip(*observers, strict=True)]
    assert ordinal_alpha(units) == pytest.approx(0.815, abs=0.0005)


def test_alpha_counts_ranks_and_not_numbers():
    units = [[1, 1], [2, 2], [1, 2], [5, 5]]
    assert ordinal_alpha(units) == pytest.approx(ordinal_alpha([[10 * value for value in unit] for unit in units]))
    assert ordinal_alpha(units) == pytest.approx(ordinal_alpha([[value**3 for value in unit] for unit in units]))


def test_perfect_agreement_has_alpha_1_and_systematic_disagreement_is_below_0():
    assert ordinal_alpha([[1, 1], [3, 3], [5, 5]]) == 1.0
    assert ordinal_alpha([[1, 5], [5, 1]]) < 0


@pytest.mark.parametrize("units", [[], [[3]], [[3, 3], [3, 3]], [[3], [5]]])
def test_alpha_is_undefined_without_two_different_ratings_that_meet(units):
    assert ordinal_alpha(units) is None


# --- the ceiling ---


def test_a_rater_is_held_against_the_mean_of_the_others():
    # 1 against 4, 3 against 3, 5 against 2: 100 (9 + 0 + 9) / 16 / 3 = 37.5
    found = human_ceiling([rated(1, 3, 5)], SCALE, {})
    assert (found.n, found.raters, found.nmse) == (1, 3, 37.5)


def test_each_pair_counts_once_however_many_rated_it():
    found = human_ceiling(pairs_of((1, 1, 1, 1, 1), (1, 5)), SCALE, {})
    assert found.nmse == 50.0


def test_pairs_with_one_rating_say_nothing():
    examples = [*pairs_of((2, 4), (5, 5)), make_example(1.0, number=9), rated(3, number=10)]
    found = human_ceiling(examples, SCALE, {"judge": [make_judgment(3), make_judgment(3), None, None]})
    # 2 against 4 costs 25; constant (3 + 5) / 2 = 4 costs 6.25 on both; 3 costs 0 and 25
    assert (found.n, found.nmse, found.nmse_constant, found.nmse_of) == (2, 12.5, 6.25, {"judge": 12.5})


def test_judges_and_constant_are_also_held_against_what_raters_are_held_against():
    found = human_ceiling(pairs_of((2, 4)), SCALE, {"judge": [make_judgment(3)], "broken": [make_judgment(None)]})
    # all against 4 and 2: the rater misses by 2, judge and constant (3) by 1
    assert (found.nmse, found.nmse_constant, found.nmse_of["judge"]) == (25.0, 0.0, 0.0)
    assert found.against_others == {"constant": 6.25, "judge": 6.25, "broken": 100.0}


def test_kappa_takes_any_two_raters_as_alike():
    units = [(1, 2), (2, 2), (4, 5), (5, 5), (3, 1), (4, 4)]
    both_ways = [pair for unit in units for pair in (unit, unit[::-1])]
    expected = cohen_kappa_score(*zip(*both_ways, strict=True), weights="quadratic")
    assert human_ceiling(pairs_of(*units), SCALE, {}).qwk == pytest.approx(expected)


def test_without_pairs_of_several_raters_there_is_no_ceiling():
    assert human_ceiling([], SCALE, {}) is None
    assert human_ceiling([make_example(3.0), rated(3)], SCALE, {}) is None


@pytest.mark.parametrize("units", [[(3, 3)], [(3, 3)] * 9, [(1, 5)], [(1, 1), (5, 5)]])
def test_no_figure_of_the_ceiling_is_nan(units):
    examples = pairs_of(*units)
    found = human_ceiling(examples, SCALE, {"judge": [make_judgment(None)] * len(examples)}).as_dict()
    json.dumps(found, allow_nan=False)
    assert all(value is None or not isinstance(value, float) or math.isfinite(value) for value in found.values())


def test_few_queries_give_the_whole_range():
    assert human_ceiling(pairs_of((1, 2), (4, 5)), SCALE, {}).nmse_ci95 == (0.0, 100.0)
