"""Disagreements: the pairs where judge and human differ most, of every kind and none of them nearly twice.

`compare_pairs` says of every pair how judge and human compare; `sample_disagreements` picks those that a person should
read first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example
from optimize_workers.dataset.near_copies import Hashes, are_near_copies, shingles_of
from optimize_workers.feedback import RIGHT_GAP
from optimize_workers.texts.themes import themes_of

TOO_GENEROUS, TOO_HARSH, RIGHT, UNREADABLE = "too generous", "too harsh", "right", "unreadable"
DIRECTIONS = (TOO_GENEROUS, TOO_HARSH, RIGHT, UNREADABLE)
LENGTHS = ("short", "medium", "long", "very long")  # quarters of the documents by their characters


class Compared(NamedTuple):
    """A judgment beside the human rating.

    Attributes:
        place: number of the pair among those given.
        gap: judge minus human in rating units; None for an unreadable reply.
        direction: one of `DIRECTIONS`.
        grade: the human rating, rounded.
        theme: of the query, in its most typical words.
        length: of the document, one of `LENGTHS`, beside the other documents given.
    """

    place: int
    gap: float | None
    direction: str
    grade: int
    theme: str
    length: str

    @property
    def is_disagreement(self) -> bool:
        """Whether the judge gave a rating and it is off."""
        return self.direction in (TOO_GENEROUS, TOO_HARSH)

    @property
    def kinds(self) -> tuple[tuple[str, object], ...]:
        """What a sample is spread over."""
        return (
            ("direction", self.direction),
            ("grade", self.grade),
            ("theme", self.theme),
            ("length", self.length),
        )


def compare_pairs(
    judgments: Sequence[Judgment], examples: Sequence[Example], scale: Scale, seed: int = 0
) -> list[Compared]:
    """How judge and human compare on each pair, in the order given.

    Raises: ValueError if there is not one example for each judgment.
    """
    themes = themes_of([example.item.query for example in examples], seed)
    lengths = lengths_of(examples)
    compared = []
    for place, (judgment, example) in enumerate(zip(judgments, examples, strict=True)):
        gap = None if judgment.value is None else judgment.value - example.gold_rating
        grade = scale.nearest(example.gold_rating)
        compared.append(Compared(place, gap, _direction(gap), grade, themes[place], lengths[place]))
    return compared


def sample_disagreements(compared: Sequence[Compared], examples: Sequence[Example], most: int) -> list[Compared]:
    """At most `most` disagreements, in the order in which they should be read.

    Each next one is that of the largest squared gap, divided by one more than how many were taken of each of its
    kinds: wide gaps come first, and none of direction, grade, theme and length crowds out the others. A document that
    nearly copies one taken before is left out.

    Args:
        compared: made by `compare_pairs`.
        examples: the same as there.
        most: how many to take.
    """
    found = [one for one in compared if one.is_disagreement]
    squared_gaps = np.array([one.gap or 0.0 for one in found]) ** 2
    weights = np.ones(len(found))
    is_left = np.ones(len(found), dtype=bool)
    counts: Counter[tuple[str, object]] = Counter()
    taken: list[Compared] = []
    shingles_taken: list[Hashes] = []
    while is_left.any() and len(taken) < most:
        number = int(np.argmax(np.where(is_left, squared_gaps * weights, -1.0)))  # the first of equals
        is_left[number] = False
        one = found[number]
        shingles = shingles_of(examples[one.place].item.document)
        if any(are_near_copies(shingles, other) for other in shingles_taken):
            continue
        taken.append(one)
        shingles_taken.append(shingles)
        counts.update(one.kinds)
        weights = np.array([1.0 / prod(1 + counts[kind] for kind in other.kinds) for other in found])
    return taken


def lengths_of(examples: Sequence[Example]) -> list[str]:
    """The quarter of each example's document by characters, one of `LENGTHS`; equal lengths are in one quarter."""
    if not examples:
        return []
    num_chars = np.array([len(example.item.document) for example in examples])
    bounds = np.quantile(num_chars, [0.25, 0.5, 0.75])
    return [LENGTHS[int(quarter)] for quarter in np.searchsorted(bounds, num_chars, side="left")]


def _direction(gap: float | None) -> str:
    if gap is None:
        return UNREADABLE
    if abs(gap) < RIGHT_GAP:
        return RIGHT
    return TOO_GENEROUS if gap > 0 else TOO_HARSH
