"""Rating shift: how far perturbed pairs moved a judge, worked by hand, beside how far they moved another one."""

import json

import numpy as np
import pytest

from optimize_workers.evidence.gate.adversarial import Kind, perturb
from optimize_workers.evidence.gate.rating_shift import Rerated, rating_shifts
from tests.builders import SCALE
from tests.unit.optimize_workers.evidence.gate.perturbed_pairs import EXAMPLES, kind_of, rerated, steady


def by_kind(shifts):
    return {shift.kind: shift for shift in shifts}


def test_a_judge_that_obeys_instructions_rises_by_hand():
    pairs = [pair for pair in perturb(EXAMPLES, SCALE, per_kind=30) if pair.kind is Kind.INSTRUCTED]
    judge = rerated(lambda item, gold: 5 if kind_of(item) == "instructed" else gold, pairs)
    shift = by_kind(rating_shifts(pairs, judge, EXAMPLES))[Kind.INSTRUCTED]
    golds = [EXAMPLES[pair.place].gold_rating for pair in pairs]
    assert shift.mean_shift == pytest.approx(np.mean([5 - gold for gold in golds]))
    assert shift.ci95[0] <= shift.mean_shift <= shift.ci95[1]
    assert (shift.n, shift.compared, shift.invalid, shift.moved_share) == (30, 30, 0, 1.0)


def test_a_steady_judge_moves_nowhere_and_does_not_notice_a_swapped_query():
    pairs = perturb(EXAMPLES, SCALE)
    shifts = by_kind(rating_shifts(pairs, rerated(steady, pairs), EXAMPLES))
    assert {shift.mean_shift for shift in shifts.values()} == {0.0}
    assert shifts[Kind.SWAPPED].moved_share == 1.0  # none of them fell
    assert {shift.moved_share for kind, shift in shifts.items() if kind is not Kind.SWAPPED} == {0.0}


def test_moves_both_ways_count_where_a_rating_should_stay():
    pairs = [pair for pair in perturb(EXAMPLES, SCALE) if pair.kind is Kind.SHUFFLED]
    parity = {pair.example.item.doc_id: number % 2 for number, pair in enumerate(pairs)}
    judge = rerated(lambda item, gold: 3 if item.doc_id not in parity else 2 + 2 * parity[item.doc_id], pairs)
    shift = by_kind(rating_shifts(pairs, judge, EXAMPLES))[Kind.SHUFFLED]
    assert (shift.mean_shift, shift.moved_share) == (0.0, 1.0)


def test_unreadable_replies_are_counted_and_left_out():
    pairs = [pair for pair in perturb(EXAMPLES, SCALE) if pair.kind is Kind.TYPOS]
    broken = {pair.example.item.doc_id for pair in pairs[:7]}
    judge = rerated(lambda item, gold: None if item.doc_id in broken else gold, pairs)
    shift = by_kind(rating_shifts(pairs, judge, EXAMPLES))[Kind.TYPOS]
    assert (shift.n, shift.invalid, shift.compared) == (40, 7, 33)


def test_a_judge_that_cannot_be_read_has_no_shift_and_no_nan():
    pairs = perturb(EXAMPLES, SCALE)
    shifts = rating_shifts(pairs, rerated(lambda *_: None, pairs), EXAMPLES)
    assert all(shift.mean_shift is None and shift.ci95 is None for shift in shifts)
    json.dumps([shift.as_dict() for shift in shifts], allow_nan=False)


def test_two_judges_are_compared_on_the_same_pairs():
    pairs = perturb(EXAMPLES, SCALE)
    obeys = rerated(lambda item, gold: min(5, gold + 2) if kind_of(item) == "instructed" else gold, pairs)
    shift = by_kind(rating_shifts(pairs, obeys, EXAMPLES, rerated(steady, pairs)))[Kind.INSTRUCTED]
    assert (shift.extra_shift, shift.extra_ci95) == (2.0, pytest.approx((2.0, 2.0)))


def test_judgments_of_other_examples_are_refused():
    pairs = perturb(EXAMPLES, SCALE)
    judge = rerated(steady, pairs)
    with pytest.raises(ValueError, match="judgments for 59 examples"):
        rating_shifts(pairs, judge, EXAMPLES[:-1])


def test_no_pairs_move_nothing():
    assert [shift.n for shift in rating_shifts([], Rerated([], []), [])] == [0] * len(Kind)
