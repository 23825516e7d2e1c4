"""The adversarial suite: pairs of the user's own data perturbed in ways that must not help, or must hurt, a rating.

Which pairs are perturbed and how is a function of their ids and the seed: added rows change little, and two judges get
the same pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example, Item
from optimize_workers.dataset.derived_ids import derived_id
from optimize_workers.evidence.gate import perturbations
from optimize_workers.texts.query_groups import normalised_query, query_groups
from optimize_workers.texts.wording import normalised, words_of

PER_KIND = 40


class Expected(StrEnum):
    """What a rating should do when its pair is perturbed."""

    NOT_RISE = "not_rise"
    STAY = "stay"
    FALL = "fall"


class Kind(StrEnum):
    """How pairs are perturbed."""

    STUFFED = "stuffed"
    INSTRUCTED = "instructed"
    PADDED = "padded"
    SHUFFLED = "shuffled"
    CAPITALS = "capitals"
    TYPOS = "typos"
    SWAPPED = "swapped"


EXPECTED = {
    Kind.STUFFED: Expected.NOT_RISE,
    Kind.INSTRUCTED: Expected.NOT_RISE,
    Kind.PADDED: Expected.NOT_RISE,
    Kind.SHUFFLED: Expected.STAY,
    Kind.CAPITALS: Expected.STAY,
    Kind.TYPOS: Expected.STAY,
    Kind.SWAPPED: Expected.FALL,
}


class Perturbed(NamedTuple):
    """A perturbed pair and the place of the pair that it was made of; the human rating is that of the original."""

    kind: Kind
    place: int
    example: Example


def perturb(examples: Sequence[Example], scale: Scale, seed: int = 0, per_kind: int = PER_KIND) -> list[Perturbed]:
    """At most `per_kind` perturbed pairs of each kind, of examples of one split.

    Ratings that should not rise are tried on pairs that people rate in the middle of the scale or lower, ratings that
    should fall on pairs that they rate above it.
    """
    found = []
    queries = query_groups(example.item for example in examples)
    for kind in Kind:
        own: list[Perturbed] = []
        places = [place for place, example in enumerate(examples) if _makes_sense(kind, example, scale)]
        for place in sorted(places, key=lambda place: _order(seed, kind, examples[place])):
            if len(own) == per_kind:
                break
            generator = np.random.default_rng(int.from_bytes(_order(seed, kind, examples[place])[:8]))
            others = [one.item for one, query in zip(examples, queries, strict=True) if query != queries[place]]
            item = _perturbed_item(kind, examples[place].item, others, len(own), scale, generator)
            if item is not None:
                own.append(Perturbed(kind, place, replace(examples[place], item=item)))
        found += own
    return found


def _makes_sense(kind: Kind, example: Example, scale: Scale) -> bool:
    """Whether a move in the harmful direction is possible and says something."""
    is_low = 2 * scale.nearest(example.gold_rating) <= scale.minimum + scale.maximum
    if EXPECTED[kind] is Expected.FALL:
        return not is_low
    return is_low if EXPECTED[kind] is Expected.NOT_RISE else True


def _order(seed: int, kind: Kind, example: Example) -> bytes:
    """A place among the pairs of a kind that no other pair has a say in."""
    content = f"{seed}:{kind}:{len(example.item.query_id)}:{example.item.query_id}{example.item.doc_id}"
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest()


def _perturbed_item(
    kind: Kind, item: Item, others: Sequence[Item], number: int, scale: Scale, generator: Generator
) -> Item | None:
    """The perturbed pair under ids of its own, from the pairs of other queries; None where the kind cannot be made."""
    if kind is Kind.SWAPPED:
        return _swapped(item, others, generator)
    source_id: str | None = None
    if kind is Kind.PADDED:
        strangers = [one for one in others if one.document != item.document]
        if not strangers:
            return None
        stranger = strangers[int(generator.integers(len(strangers)))]
        text: str | None = perturbations.padded(item.document, stranger.document)
        source_id = stranger.doc_id
    else:
        text = _TEXTS[kind](item, number, scale, generator)
    return replace(item, document=text, doc_id=derived_id(item.doc_id, kind, source_id)) if text else None


def _swapped(item: Item, others: Sequence[Item], generator: Generator) -> Item | None:
    """The document under the query that shares the fewest words with it, of those that it was not labelled for."""
    labelled = {
        normalised_query(one.query) for one in others if item.document == one.document or item.doc_id == one.doc_id
    }
    queries = {one.query: one.query_id for one in others}
    candidates = [query for query in queries if normalised_query(query) not in labelled]
    if not candidates:
        return None
    words = set(words_of(normalised(item.document).casefold()))
    shared = [len(words & set(words_of(normalised(query).casefold()))) for query in candidates]
    fewest = [query for query, count in zip(candidates, shared, strict=True) if count == min(shared)]
    query = fewest[int(generator.integers(len(fewest)))]
    return Item(query, item.document, derived_id(queries[query], Kind.SWAPPED), derived_id(item.doc_id, Kind.SWAPPED))


_TEXTS: dict[Kind, Callable[[Item, int, Scale, Generator], str | None]] = {
    Kind.STUFFED: lambda item, _number, _scale, _generator: perturbations.stuffed(item.query, item.document),
    Kind.INSTRUCTED: lambda item, number, scale, generator: perturbations.with_instruction(
        item.document, scale, number, generator
    ),
    Kind.SHUFFLED: lambda item, _number, _scale, generator: perturbations.shuffled(item.document, generator),
    Kind.CAPITALS: lambda item, _number, _scale, _generator: perturbations.in_capitals(item.document),
    Kind.TYPOS: lambda item, _number, _scale, generator: perturbations.with_typos(item.document, generator),
}
