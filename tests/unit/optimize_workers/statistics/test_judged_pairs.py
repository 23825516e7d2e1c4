"""What was not judged has a part in no figure, no comparison and no test; table-driven over all of them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from judge_serve.judging.errors import TooManyNotJudgedError
from optimize_workers.evidence.calibration_fit import fit_calibration
from optimize_workers.evidence.ceiling import human_ceiling
from optimize_workers.evidence.gate.check import check_gate
from optimize_workers.evidence.gate.evidence import GateEvidence, HeldOut
from optimize_workers.evidence.repeats import measure_repeats
from optimize_workers.feedback import reflection_data
from optimize_workers.statistics.acceptance import broken_floor, chance_of_no_fall, chance_of_no_gain
from optimize_workers.statistics.comparison import compare, compare_fully
from optimize_workers.statistics.judged_pairs import judged_by_all, mean_score
from optimize_workers.statistics.metrics import example_score, gold_of, losses, measure, skill_interval
from optimize_workers.statistics.racing import chance_to_win, paired_gains
from tests.builders import JUDGE, MISSING, SCALE, make_examples, make_judgment

EXAMPLES = [replace(example, gold_ratings=(1.0, 3.0)) for example in make_examples(60)]
FIRST = [make_judgment(place % 5 + 1 if place % 7 else None) for place in range(60)]
SECOND = [make_judgment((place + place % 3) % 5 + 1 if place % 11 else None) for place in range(60)]
NAN = math.nan


def without(judgments, *places):
    """The judgments, those at the places not judged."""
    return [MISSING if place in places else judgment for place, judgment in enumerate(judgments)]


def left(sequence, *places):
    return [one for place, one in enumerate(sequence) if place not in places]


def scores(judgments):
    return [example_score(j, e, SCALE) for j, e in zip(judgments, EXAMPLES, strict=True)]


# the first misses place 3 and the second places 20 and 59: what both judged are the others
ON_PAIRS = {
    "compare": lambda first, second, examples: compare(first, second, examples, SCALE),
    "compare_fully": lambda first, second, examples: compare_fully(first, second, examples, SCALE),
    "chance_of_no_fall": lambda first, second, examples: chance_of_no_fall(first, second),
    "broken_floor": lambda first, second, examples: broken_floor(
        first, second, examples, SCALE, min_validity=0.5, grade_margin=1.0
    ),
    "human_ceiling": lambda first, second, examples: human_ceiling(examples, SCALE, {"a": first, "b": second}),
    "repeats": lambda first, second, examples: measure_repeats([first, second], examples, SCALE),
}


@pytest.mark.parametrize("figure", ON_PAIRS.values(), ids=ON_PAIRS)
def test_two_judges_are_compared_on_what_both_judged(figure):
    missing = (3, 20, 59)
    expected = figure(*(left(one, *missing) for one in (FIRST, SECOND, EXAMPLES)))
    assert figure(without(FIRST, 3), without(SECOND, 20, 59), EXAMPLES) == expected


OF_ONE = {
    "skill_interval": lambda judgments, examples: skill_interval(judgments, examples, SCALE),
    "reflection_data": lambda judgments, examples: reflection_data(judgments, examples, SCALE),
    "calibration": lambda judgments, examples: fit_calibration(JUDGE, judgments, examples, "data").as_dict(),
    "figures": lambda judgments, examples: replace(measure(judgments, examples, SCALE), not_judged=0),
}


@pytest.mark.parametrize("figure", OF_ONE.values(), ids=OF_ONE)
def test_a_figure_of_one_judge_is_that_of_what_it_judged(figure):
    assert figure(without(FIRST, 0, 33), EXAMPLES) == figure(left(FIRST, 0, 33), left(EXAMPLES, 0, 33))


def test_what_was_not_judged_is_counted_apart():
    figures = measure(without(FIRST, 1, 2), EXAMPLES, SCALE)
    assert (figures.n, figures.valid + figures.invalid, figures.not_judged) == (58, 58, 2)
    assert figures.as_dict()["not_judged"] == 2


def test_the_gate_counts_what_was_not_judged_as_invalid():
    """57 of 57 replies can be read, which are 57 of 60 of what was asked."""
    judgments = without([make_judgment(int(e.gold_rating)) for e in EXAMPLES], 0, 1, 2)
    figures = measure(judgments, EXAMPLES, SCALE)
    held_out = HeldOut(EXAMPLES, judgments, without(judgments, 7), SCALE)
    compared = compare(held_out.reference, judgments, EXAMPLES, SCALE)
    rules = {rule.name: rule for rule in check_gate(GateEvidence(figures, compared, held_out)).rules}
    assert rules["validity"].found == pytest.approx(57 / 60)
    assert (figures.validity, figures.nmse) == (1.0, 0.0)
    assert {name: rule.found for name, rule in rules.items()}["grades"] == 0.0


def test_without_any_judged_example_there_is_no_figure_and_the_error_says_so():
    with pytest.raises(TooManyNotJudgedError, match="none of 60 examples was judged by the judge"):
        measure(without(FIRST, *range(60)), EXAMPLES, SCALE)
    with pytest.raises(TooManyNotJudgedError, match="by all judges"):
        compare(without(FIRST, *range(30)), without(SECOND, *range(30, 60)), EXAMPLES, SCALE)


def test_nobody_gives_a_loss_to_what_was_not_judged():
    with pytest.raises(ValueError, match="an example that was not judged has no loss"):
        losses(without(FIRST, 5), gold_of(EXAMPLES), SCALE)


def test_where_all_is_judged_nothing_is_copied():
    found = judged_by_all(EXAMPLES, FIRST, SECOND)
    assert found.examples is EXAMPLES
    assert found.judges[0] is FIRST


# --- scores of a search ---


def test_what_was_not_judged_has_no_score():
    assert np.isnan(scores(without(FIRST, 4))[4])
    assert mean_score([0.5, NAN, 1.0]) == 0.75
    assert mean_score([NAN]) == 0.0


def test_gains_are_those_of_what_both_were_judged_on():
    assert paired_gains([0.5, NAN, 0.75, 1.0], [0.25, 1.0, NAN, 1.0]).tolist() == [0.25, 0.0]
    assert paired_gains([NAN], [1.0]).tolist() == [0.0]


def test_tests_of_a_gain_leave_out_what_was_not_judged():
    first, second = scores(without(FIRST, 3)), scores(without(SECOND, 20, 59))
    kept = [left(one, 3, 20, 59) for one in (scores(FIRST), scores(SECOND), EXAMPLES)]
    assert chance_of_no_gain(first, second, EXAMPLES) == chance_of_no_gain(*kept)
    assert chance_to_win(first, second, 80) == chance_to_win(kept[0], kept[1], 77)
    assert chance_of_no_gain([NAN], [1.0], EXAMPLES[:1]) == 1.0
