"""Luck of selection: none without a choice, about as much as was really lost in simulations."""

import json

import numpy as np
import pytest

from optimize_workers.evidence.luck import optimism_of_the_best, selection_luck
from optimize_workers.study import Trial
from tests.builders import PROGRAM, make_examples

EXAMPLES = make_examples(40, "val")
QUERIES = [example.item.query_id for example in EXAMPLES]


def program_of(text):
    return PROGRAM.with_sections({"rubric": text})


def trial(number, program, scores, validity=1.0, is_full=True):
    return Trial(number, program, float(np.mean(scores)), validity, len(scores), is_full, scores=tuple(scores))


def scores(seed, mean=0.8):
    return np.random.default_rng(seed).uniform(mean - 0.2, mean + 0.2, size=40).tolist()


def test_one_candidate_was_not_chosen_by_luck():
    assert optimism_of_the_best(np.ones((1, 40)), QUERIES) == (0.0, 0.0)


def test_a_candidate_that_is_far_better_was_not_chosen_by_luck():
    losses = np.random.default_rng(0).normal(size=(2, 40)) + np.array([[30.0], [10.0]])
    by_selection, _ = optimism_of_the_best(losses, QUERIES)
    assert by_selection == pytest.approx(0.0, abs=0.02)


def test_two_equal_candidates_lose_what_theory_says():
    # the lower of two independent means with standard error s is 0.564 s too low
    rng = np.random.default_rng(1)
    found = [optimism_of_the_best(rng.normal(0, 10, size=(2, 400)), [str(n) for n in range(400)]) for _ in range(40)]
    as_seen, alone = np.mean(found, axis=0)
    assert alone == pytest.approx(0.564 * 10 / 20, rel=0.1)
    assert 0 < as_seen < alone


def test_more_candidates_are_luckier():
    rng = np.random.default_rng(2)
    few, many = (optimism_of_the_best(rng.normal(0, 10, size=(k, 40)), QUERIES) for k in (2, 20))
    assert few[0] < many[0] and few[1] < many[1]


def test_few_queries_say_nothing_about_luck():
    assert optimism_of_the_best(np.ones((3, 40)), ["q"] * 40) is None


def test_a_search_says_how_many_candidates_there_were_and_what_choosing_did():
    good = program_of("good")
    trials = [
        trial(0, PROGRAM, scores(0)),
        trial(1, good, scores(1, 0.82)),
        trial(2, good, scores(2)),  # judged again: the first trial of a program counts
        trial(3, program_of("unreadable"), scores(3, 0.9), validity=0.5),  # cannot win
        trial(4, program_of("dropped"), scores(4)[:8], is_full=False),
        trial(5, program_of("other"), scores(5)),
    ]
    found = selection_luck(trials, good, PROGRAM, EXAMPLES, 21.0)
    assert (found.num_candidates, found.test_nmse) == (3, 21.0)
    assert found.validation_nmse == pytest.approx(100 * (1 - np.mean(scores(1, 0.82))))
    assert found.by_selection > 0
    json.dumps(found.as_dict(), allow_nan=False)


def test_trials_without_scores_say_nothing():
    old = Trial(0, PROGRAM, 0.8, 1.0, 40, True)
    assert selection_luck([old], PROGRAM, PROGRAM, EXAMPLES, 20.0) is None
    assert selection_luck([], PROGRAM, PROGRAM, EXAMPLES, 20.0) is None


def test_scores_stay_in_memory():
    assert "scores" not in trial(0, PROGRAM, scores(0)).as_dict()
