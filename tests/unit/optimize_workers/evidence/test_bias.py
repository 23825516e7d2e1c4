"""Bias summaries: means worked by hand, kinds told apart."""

import pytest

from optimize_workers.evidence.bias import OVERLAPS, bias_tables, has_age_words, keyword_overlap
from tests.builders import SCALE, make_example, make_judgment


def tables_of(golds, ratings, documents=None):
    documents = documents or [f"document {n}" for n in range(len(golds))]
    examples = [
        make_example(gold, number=n, document=text) for n, (gold, text) in enumerate(zip(golds, documents, strict=True))
    ]
    return {table.title: table.rows for table in bias_tables([make_judgment(r) for r in ratings], examples, SCALE)}


def test_bias_overall_and_per_grade():
    tables = tables_of([1.0, 1.0, 5.0, 3.0], [3, 2, 4, None])
    (row,) = tables["all"]
    assert (row.n, row.mean_gap) == (3, pytest.approx((2 + 1 - 1) / 3))
    assert [(row.name, row.n, row.mean_gap) for row in tables["human rating"]] == [("1", 2, 1.5), ("5", 1, -1.0)]


def test_an_interval_needs_eight_queries():
    assert tables_of([1.0] * 7, [2] * 7)["all"][0].ci95 is None
    assert tables_of([1.0] * 8, [2] * 8)["all"][0].ci95 == (1.0, 1.0)


def test_age_words_are_their_own_kind():
    tables = tables_of([3.0, 3.0], [5, 3], ["This page is outdated.", "This page is new."])
    assert [(row.name, row.mean_gap) for row in tables["age words in the document"]] == [
        ("age words", 2.0),
        ("none", 0.0),
    ]


@pytest.mark.parametrize(
    "text", ["Deprecated.", "last year's plan", "reviewed in 2019", "no longer valid", "2 years ago"]
)
def test_texts_that_speak_of_age(text):
    assert has_age_words(text)


@pytest.mark.parametrize("text", ["room 20190", "updated daily", "the best year", "stalemate"])
def test_texts_that_do_not(text):
    assert not has_age_words(text)


@pytest.mark.parametrize(
    ("document", "overlap"),
    [
        ("nothing", "none"),
        ("a Leave", "up to half"),
        ("parental leave rules", "more than half"),
        ("Leave: PARENTAL policy", "all"),
    ],
)
def test_keyword_overlap_counts_different_words_of_the_query(document, overlap):
    assert overlap in OVERLAPS
    assert keyword_overlap("parental leave policy leave", document) == overlap


def test_a_query_without_words_overlaps_with_nothing():
    assert keyword_overlap("?!", "document") == "none"


def test_without_a_readable_judgment_there_is_no_row():
    assert set(tables_of([1.0], [None]).values()) == {()}
