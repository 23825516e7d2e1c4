"""Demonstration sets: training examples that are shown solved, even over the grades, short and unlike each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from judge_serve.judging.judgment import AnswerMode
from judge_serve.judging.program import Demonstration
from judge_serve.judging.rendering import render_answer, render_item
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example
from optimize_workers.dataset.near_copies import are_near_copies, shingles_of
from optimize_workers.texts.query_groups import query_names
from optimize_workers.texts.word_vectors import Vectors, word_vectors

MAX_DOCUMENT_CHARS = 700  # of a demonstration; longer documents make poor, costly demonstrations
MAX_EXPLANATION_CHARS = 200  # of a short one
LONGEST_EXPLANATION_CHARS = 300  # `guided` allows no longer reply; what is longer counts as no reason
MAX_TOKENS = 1_500  # of the demonstrations of a set together, as `estimate_tokens` counts
MIN_PER_GRADE = 8  # examples of a grade to draw from: where fewer are short, the next longer ones too
MAX_PER_GRADE = 1_000  # by the seed, of more
NUM_OPTIONS = 16  # of which the one least like those chosen already is taken: few enough that sets differ
_BYTES_PER_TOKEN = 3  # English has four and more, and most scripts have three bytes a character
_TOKENS_PER_TURN = 8  # what a chat template puts around a message


def draw_example_sets(
    train: Sequence[Example],
    scale: Scale,
    *,
    num_sets: int,
    sizes: Sequence[int],
    seed: int,
    needs_reason: bool = True,
) -> list[tuple[Example, ...]]:
    """Sets of training examples to be shown as demonstrations.

    A set holds grades as even as its size allows, at most `MAX_TOKENS`, and neither a query nor nearly a document
    twice. After a first example drawn by chance, each next one is the least like those chosen among a few drawn.

    Args:
        train: training examples only; those with an integer human rating are used, short ones before long ones.
        scale: its ratings are taken in turn, in an order drawn per set.
        num_sets: how many sets; fewer come back where the examples do not suffice.
        sizes: number of examples of set i is at most `sizes[i % len(sizes)]`.
        seed: set i depends on (seed, i) only.
        needs_reason: whether an example has to have a human reason; where only the digit is shown it need not.
    """
    pool = _pool(_readable(train, scale, seed, needs_reason))
    drawn = (
        _draw_set(pool, sizes[number % len(sizes)], np.random.default_rng([seed, 2, number]))
        for number in range(num_sets)
    )
    return [chosen for chosen in drawn if chosen]


def estimate_tokens(shown: Demonstration) -> int:
    """Tokens of a demonstration in a prompt, its reason included, rather too many than too few."""
    item = render_item(shown.query, shown.document)
    answer = render_answer(shown.rating, shown.explanation, AnswerMode.GENERATE)
    return sum(len(text.encode()) // _BYTES_PER_TOKEN + _TOKENS_PER_TURN for text in (item, answer))


def to_demonstration(example: Example) -> Demonstration:
    """The demonstration of an example: the human's rating and reason, unless that is too long."""
    return Demonstration(
        query=example.item.query,
        document=example.item.document,
        rating=int(example.gold_rating),
        explanation=example.explanation if _is_explained(example) else "",
    )


def _readable(train: Sequence[Example], scale: Scale, seed: int, needs_reason: bool) -> list[Example]:
    """Examples to draw from: of each grade the short ones, and the shortest others where these are few."""
    rng = np.random.default_rng([seed, 7])
    readable: list[Example] = []
    for rating in scale.ratings:
        of_grade = [e for e in train if e.gold_rating == rating and (_is_explained(e) or not needs_reason)]
        by_length = sorted(of_grade, key=lambda e: (not _is_short(e), len(e.item.document) + len(e.explanation)))
        kept = by_length[: max(MIN_PER_GRADE, sum(map(_is_short, of_grade)))]
        readable += [kept[i] for i in sorted(rng.permutation(len(kept))[:MAX_PER_GRADE])]
    return readable


def grades_to_show(train: Sequence[Example], scale: Scale, *, needs_reason: bool) -> set[int]:
    """Ratings of the scale that there is an example of to be shown, with a human reason if there has to be one."""
    return {
        r for r in scale.ratings if any(e.gold_rating == r and (_is_explained(e) or not needs_reason) for e in train)
    }


def _is_explained(example: Example) -> bool:
    return 0 < len(example.explanation) <= LONGEST_EXPLANATION_CHARS


def _is_short(example: Example) -> bool:
    return len(example.item.document) <= MAX_DOCUMENT_CHARS and len(example.explanation) <= MAX_EXPLANATION_CHARS


@dataclass(frozen=True)
class _Pool:
    """n examples to draw from.

    Attributes:
        by_grade: their numbers, of each grade that there is.
        tokens: `estimate_tokens` of each.
        vectors: see `word_vectors`.
    """

    examples: list[Example]
    by_grade: dict[int, list[int]]
    tokens: list[int]
    vectors: Vectors

    def is_apart(self, number: int, chosen: Sequence[int]) -> bool:
        """Whether a document is a near copy of none that is chosen."""
        shingles = shingles_of(self.examples[number].item.document)
        return not any(are_near_copies(shingles, shingles_of(self.examples[n].item.document)) for n in chosen)


def _pool(examples: list[Example]) -> _Pool:
    by_grade: defaultdict[int, list[int]] = defaultdict(list)
    for number, example in enumerate(examples):
        by_grade[int(example.gold_rating)].append(number)
    tokens = [estimate_tokens(to_demonstration(example)) for example in examples]
    return _Pool(examples, by_grade, tokens, word_vectors([f"{e.item.query} {e.explanation}" for e in examples]))


def _draw_set(pool: _Pool, size: int, rng: np.random.Generator) -> tuple[Example, ...]:
    grades = [int(grade) for grade in rng.permutation(list(pool.by_grade))]
    chosen: list[int] = []
    left, is_even = MAX_TOKENS, bool(grades)
    while is_even and len(chosen) < size:
        for grade in grades:
            if len(chosen) == size:
                break
            option = _draw_option(pool, grade, chosen, (left // (size - len(chosen)), left), rng)
            if option is None:
                is_even = False  # then no other grade goes further ahead
            else:
                chosen.append(option)
                left -= pool.tokens[option]
    return tuple(pool.examples[number] for number in chosen)


def _draw_option(
    pool: _Pool, grade: int, chosen: Sequence[int], bounds: Sequence[int], rng: np.random.Generator
) -> int | None:
    """The next example of a grade: within the first of the bounds on its tokens that any keeps, else none."""
    queries = {name for n in chosen for name in query_names(pool.examples[n].item)}
    drawn: list[int] = rng.permutation(pool.by_grade[grade]).tolist()
    items = ((number, pool.examples[number].item) for number in drawn)
    others = [number for number, item in items if queries.isdisjoint(query_names(item))]
    for bound in bounds:  # a long example is not to push out those after it
        affordable = [number for number in others if pool.tokens[number] <= bound]
        for start in range(0, len(affordable), NUM_OPTIONS):
            options = affordable[start : start + NUM_OPTIONS]
            likeness = (pool.vectors[options] @ pool.vectors[list(chosen)].T).max(axis=1, initial=-1.0)
            by_likeness: list[int] = [options[place] for place in np.argsort(likeness, kind="stable")]
            for number in by_likeness:
                if pool.is_apart(number, chosen):
                    return number
    return None
