"""Demonstration sets: solved examples of the training split, balanced over the grades, short and readable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from judge_serve.judging.program import Demonstration
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example

MAX_DOCUMENT_CHARS = 700  # of a demonstration; longer documents make poor, costly demonstrations
MAX_EXPLANATION_CHARS = 200


def usable_demonstrations(train: Sequence[Example], scale: Scale) -> list[Example]:
    """Training examples that may be shown: integer human rating, a short reason, a short document.

    Where no document is short enough, the shortest tenth of the examples with a reason is used.
    """
    honest = [e for e in train if e.explanation and float(e.gold_rating).is_integer()]
    short = [
        e for e in honest if len(e.item.document) <= MAX_DOCUMENT_CHARS and len(e.explanation) <= MAX_EXPLANATION_CHARS
    ]
    grades = {int(e.gold_rating) for e in honest}
    if grades <= {int(e.gold_rating) for e in short}:
        return short
    by_length = sorted(honest, key=lambda e: len(e.item.document) + len(e.explanation))
    return by_length[: max(len(scale.ratings) * 4, len(honest) // 10)]


def draw_demonstration_sets(
    train: Sequence[Example], scale: Scale, *, num_sets: int, sizes: Sequence[int], seed: int
) -> list[tuple[Demonstration, ...]]:
    """Sets of demonstrations, each with different queries and grades as even as its size allows.

    Args:
        train: training examples only.
        scale: its ratings are taken in turn, in an order drawn per set.
        num_sets: how many sets; fewer come back where the examples do not suffice.
        sizes: number of demonstrations of set i is `sizes[i % len(sizes)]`.
        seed: set i depends on (seed, i) only.
    """
    pool = usable_demonstrations(train, scale)
    by_grade = {r: [e for e in pool if int(e.gold_rating) == r] for r in scale.ratings}
    sets = []
    for number in range(num_sets):
        rng = np.random.default_rng([seed, 2, number])
        chosen: list[Example] = []
        grades = [int(grade) for grade in rng.permutation(list(scale.ratings)) if by_grade[int(grade)]]
        size = sizes[number % len(sizes)]
        for turn in range(2 * size):
            if len(chosen) >= size or not grades:
                break
            shown = {e.item.query_id for e in chosen}
            options = [e for e in by_grade[grades[turn % len(grades)]] if e.item.query_id not in shown]
            if options:
                chosen.append(options[int(rng.integers(len(options)))])
        if chosen:
            sets.append(tuple(to_demonstration(example) for example in chosen))
    return sets


def to_demonstration(example: Example) -> Demonstration:
    """The demonstration of an example: the human's rating and reason."""
    return Demonstration(
        query=example.item.query,
        document=example.item.document,
        rating=int(example.gold_rating),
        explanation=example.explanation,
    )
