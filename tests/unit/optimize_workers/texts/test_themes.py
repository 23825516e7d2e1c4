"""Themes: what texts have in common, by their words."""

import numpy as np

from optimize_workers.texts.themes import OTHER, group_vectors, themes_of, topic_words
from optimize_workers.texts.word_vectors import word_vectors

LEAVE = ["parental leave policy", "how long is parental leave", "parental leave for partners"]
LAPTOPS = ["order a new laptop", "laptops for new engineers", "my laptop is broken"]


def test_queries_of_one_subject_share_a_theme_named_by_its_words():
    themes = themes_of([*LEAVE, *LAPTOPS])
    assert len(set(themes[:3])) == len(set(themes[3:])) == 1
    assert themes[0] == "leave, parental"
    assert "laptop" in themes[3]


def test_equal_texts_have_one_theme():
    themes = themes_of([LEAVE[0], *LAPTOPS, LEAVE[0], LEAVE[1]])
    assert themes[0] == themes[4]


def test_a_text_that_shares_no_topic_is_other():
    assert themes_of([*LEAVE, "guest wifi"])[-1] == OTHER
    assert themes_of(["the of", "is it the"]) == [OTHER, OTHER]
    assert themes_of([]) == []


def test_a_word_without_a_topic_makes_no_theme():
    assert themes_of(["how do we travel", "how do we eat"]) == [OTHER, OTHER]
    assert topic_words("How do the Laptops work?") == {"laptop", "work"}


def test_themes_are_the_same_every_time():
    texts = [f"{subject} question {number}" for number in range(20) for subject in ("leave", "laptop", "travel")]
    assert themes_of(texts, seed=3) == themes_of(texts, seed=3)


def test_unlike_vectors_are_in_different_groups():
    groups = group_vectors(word_vectors(["a b c", "a b d", "x y z", "x y w"]), 2)
    assert groups[0] == groups[1] != groups[2] == groups[3]
    assert len(group_vectors(np.zeros((0, 4)), 3)) == 0
    assert list(group_vectors(word_vectors(["one text"]), 3)) == [0]
