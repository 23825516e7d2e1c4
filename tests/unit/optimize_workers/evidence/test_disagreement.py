"""Disagreements: wide gaps first, every kind among them, nothing nearly twice."""

from collections import Counter
from dataclasses import replace

import pytest

from optimize_workers.evidence.disagreement import (
    DIRECTIONS,
    LENGTHS,
    RIGHT,
    TOO_GENEROUS,
    TOO_HARSH,
    UNREADABLE,
    compare_pairs,
    lengths_of,
    sample_disagreements,
)
from tests.builders import SCALE, make_example, make_examples, make_judgment


def compared_of(golds, ratings):
    """Pairs of these human and judge ratings, with documents of their own."""
    examples = [
        make_example(gold, number=n, document=" ".join(f"w{n}x{place}" for place in range(20)))
        for n, gold in enumerate(golds)
    ]
    return compare_pairs([make_judgment(rating) for rating in ratings], examples, SCALE), examples


def test_gap_direction_and_grade_of_each_pair():
    compared, _ = compared_of([1.0, 5.0, 3.0, 2.0, 3.4], [4, 2, 3, None, 3])
    assert [one.gap for one in compared] == [3.0, -3.0, 0.0, None, pytest.approx(-0.4)]
    assert [one.direction for one in compared] == [TOO_GENEROUS, TOO_HARSH, RIGHT, UNREADABLE, RIGHT]
    assert [one.grade for one in compared] == [1, 5, 3, 2, 3]
    assert {one.direction for one in compared} <= set(DIRECTIONS)


def test_an_expected_rating_counts_as_it_is():
    (one,) = compare_pairs([make_judgment(3, expected=3.25)], [make_example(4.0)], SCALE)
    assert one.gap == -0.75


def test_only_readable_disagreements_are_sampled():
    compared, examples = compared_of([1.0, 3.0, 3.0], [5, 3, None])
    assert [one.place for one in sample_disagreements(compared, examples, 10)] == [0]


def test_the_widest_gap_comes_first():
    compared, examples = compared_of([1.0, 1.0, 1.0], [3, 5, 2])
    assert [one.place for one in sample_disagreements(compared, examples, 3)] == [1, 0, 2]


def test_one_direction_does_not_crowd_out_the_other():
    compared, examples = compared_of([1.0] * 30 + [5.0] * 3, [5] * 30 + [2] * 3)
    taken = sample_disagreements(compared, examples, 6)
    assert Counter(one.direction for one in taken)[TOO_HARSH] >= 2


def test_every_grade_is_among_the_first_of_many():
    golds = [1.0] * 20 + [2.0, 3.0, 4.0, 5.0] * 2
    ratings = [4] * 20 + [5, 5, 1, 2] * 2
    compared, examples = compared_of(golds, ratings)
    assert {one.grade for one in sample_disagreements(compared, examples, 10)} == {1, 2, 3, 4, 5}


def test_a_document_is_not_taken_nearly_twice():
    words = [f"word{place}" for place in range(60)]
    documents = [" ".join(words), " ".join([*words[:59], "changed"]), "something else entirely, about another matter"]
    examples = [make_example(1.0, number=n, document=document) for n, document in enumerate(documents)]
    compared = compare_pairs([make_judgment(5)] * 3, examples, SCALE)
    assert [one.place for one in sample_disagreements(compared, examples, 3)] == [0, 2]


def test_a_sample_is_no_longer_than_asked_and_the_same_every_time():
    compared, examples = compared_of([float(n % 5 + 1) for n in range(40)], [6 - (n % 5 + 1) for n in range(40)])
    first = sample_disagreements(compared, examples, 7)
    assert len(first) == 7
    assert first == sample_disagreements(compared, examples, 7)


def test_lengths_are_quarters_and_equal_ones_are_together():
    examples = [replace(make_example(number=n, document="x" * (n + 1))) for n in range(8)]
    assert lengths_of(examples) == [name for name in LENGTHS for _ in range(2)]
    assert set(lengths_of(make_examples(3))) == {LENGTHS[0]}
    assert lengths_of([]) == []


def test_judgments_and_examples_belong_together():
    with pytest.raises(ValueError, match="argument 2 is longer"):
        compare_pairs([make_judgment()], make_examples(2), SCALE)
