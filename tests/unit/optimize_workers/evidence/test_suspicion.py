"""Suspected labels: raters apart, or several models together against the label."""

from dataclasses import replace

import pytest

from optimize_workers.evidence.suspicion import suspected_labels
from tests.builders import make_example, make_judgment

EXAMPLE = make_example(1.0)
KEY = (EXAMPLE.item.query_id, EXAMPLE.item.doc_id)


def judged(**ratings):
    """Judgments of the example by models of these names."""
    return [
        replace(make_judgment(rating), query_id=KEY[0], doc_id=KEY[1], model=model) for model, rating in ratings.items()
    ]


def test_raters_that_disagree_are_told():
    example = replace(EXAMPLE, gold_ratings=(1.0, 4.0))
    assert suspected_labels([example], []) == {KEY: ("raters disagree: 1, 4",)}
    assert suspected_labels([replace(EXAMPLE, gold_ratings=(1.0, 2.0))], []) == {}


def test_models_that_agree_against_a_label_are_told():
    assert suspected_labels([EXAMPLE], judged(a=4, b=5)) == {KEY: ("2 models agree against it: a 4, b 5",)}


@pytest.mark.parametrize(
    "ratings", [{"a": 5}, {"a": 5, "b": 2}, {"a": 5, "b": 3}, {"a": 2, "b": 2}, {"a": 5, "b": None}]
)
def test_one_model_or_models_apart_or_near_the_label_say_nothing(ratings):
    assert suspected_labels([EXAMPLE], judged(**ratings)) == {}


def test_models_on_both_sides_of_a_label_do_not_agree_against_it():
    example = replace(EXAMPLE, gold_rating=3.0)
    assert suspected_labels([example], judged(a=1, b=5)) == {}


def test_judges_of_one_model_count_once():
    twice = [*judged(a=5), *judged(a=5)]
    assert suspected_labels([EXAMPLE], twice) == {}


def test_judgments_of_other_pairs_are_passed_over():
    assert suspected_labels([make_example(1.0, number=7)], judged(a=5, b=5)) == {}


def test_two_labels_of_one_pair_are_two_raters():
    again = replace(EXAMPLE, gold_rating=5.0)
    assert suspected_labels([EXAMPLE, again], []) == {KEY: ("raters disagree: 1, 5",)}
    assert suspected_labels([EXAMPLE, replace(EXAMPLE, gold_rating=2.0)], []) == {}


def test_a_right_label_after_a_wrong_one_does_not_hide_what_was_found():
    better = replace(EXAMPLE, gold_rating=2.5)
    assert suspected_labels([EXAMPLE, better], judged(a=3, b=3)) == {KEY: ("2 models agree against it: a 3, b 3",)}
