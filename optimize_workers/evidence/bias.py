"""Bias summaries: how far a judge is off on the average, by what is easily seen of a pair."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example
from optimize_workers.evidence.disagreement import LENGTHS, lengths_of
from optimize_workers.statistics.resampling import FloatArray, mean_interval
from optimize_workers.texts.query_groups import query_groups
from optimize_workers.texts.wording import normalised, words_of

OVERLAPS = ("none", "up to half", "more than half", "all")
_AGE_WORDS = re.compile(
    r"\b(?:outdated|out of date|deprecated|obsolete|archived|superseded|legacy|retired|no longer|stale|expired|"
    r"(?:last|previous) (?:year|month|week|quarter)|years? ago|(?:19|20)\d\d)\b",
    re.IGNORECASE,
)


class BiasRow(NamedTuple):
    """Pairs of one kind: how many, mean of judge minus human in rating units, its 95 % interval if queries suffice."""

    name: str
    n: int
    mean_gap: float
    ci95: tuple[float, float] | None


class BiasTable(NamedTuple):
    """The rows of one way to look at the pairs; kinds without pairs are left out."""

    title: str
    rows: tuple[BiasRow, ...]


def bias_tables(judgments: Sequence[Judgment], examples: Sequence[Example], scale: Scale) -> list[BiasTable]:
    """Bias overall, per grade, by length of document, by keyword overlap and by age words; readable judgments only.

    Per grade a judge that is merely unsure looks too generous at the lowest and too harsh at the highest rating.

    Raises: ValueError if there is not one example for each judgment.
    """
    pairs = [(j.value, e) for j, e in zip(judgments, examples, strict=True) if j.value is not None]
    rated = [example for _, example in pairs]
    gaps = np.array([value - example.gold_rating for value, example in pairs])
    grades = [str(scale.nearest(example.gold_rating)) for example in rated]
    ages = ["age words" if has_age_words(example.item.document) else "none" for example in rated]
    overlaps = [keyword_overlap(example.item.query, example.item.document) for example in rated]
    return [
        _table("all", ("all pairs",), ["all pairs"] * len(rated), gaps, rated),
        _table("human rating", tuple(map(str, scale.ratings)), grades, gaps, rated),
        _table("length of the document", LENGTHS, lengths_of(rated), gaps, rated),
        _table("words of the query in the document", OVERLAPS, overlaps, gaps, rated),
        _table("age words in the document", ("age words", "none"), ages, gaps, rated),
    ]


def keyword_overlap(query: str, document: str) -> str:
    """How many of the query's different words stand in the document, one of `OVERLAPS`."""
    words = set(words_of(normalised(query).casefold()))
    if not words:
        return OVERLAPS[0]
    share = len(words & set(words_of(normalised(document).casefold()))) / len(words)
    if share in (0.0, 1.0):
        return OVERLAPS[-1] if share else OVERLAPS[0]
    return OVERLAPS[1] if share <= 0.5 else OVERLAPS[2]


def has_age_words(document: str) -> bool:
    """Whether a document names a year or says that something is old, in English."""
    return _AGE_WORDS.search(document) is not None


def _table(
    title: str, names: Sequence[str], kinds: Sequence[str], gaps: FloatArray, examples: Sequence[Example]
) -> BiasTable:
    rows = []
    for name in names:
        members = [number for number, kind in enumerate(kinds) if kind == name]
        if members:
            own = gaps[members]
            queries = query_groups(examples[number].item for number in members)
            rows.append(BiasRow(name, len(members), float(own.mean()), mean_interval(own, queries)))
    return BiasTable(title, tuple(rows))
