"""Themes: texts that speak of the same thing, grouped by their words and named by the most typical ones."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from optimize_workers.texts.vocabulary import is_grammar
from optimize_workers.texts.word_vectors import Vectors, word_vectors
from optimize_workers.texts.wording import normalised, words_of

OTHER = "other"  # queries that have no topic in common with another one
MAX_THEMES = 12
NAME_WORDS = 2
MIN_NAME_CHARS = 3  # shorter words name nothing
NUM_ROUNDS = 10  # of k-means; it settles before on what was seen
NUM_STARTS = 8
_PLURAL = re.compile(r"(?<=[^\Ws]{3})s$")

Groups = npt.NDArray[np.int64]


def themes_of(texts: Sequence[str], seed: int = 0) -> list[str]:
    """The theme of each text, equal texts having equal ones; `OTHER` for those that share no topic with another text.

    Args:
        texts: queries, such as of all judged pairs; not many thousands of different ones.
        seed: of the first centres.
    """
    distinct = list(dict.fromkeys(texts))
    words = [topic_words(text) for text in distinct]
    num_texts = Counter(word for own in words for word in own)
    shared = [frozenset(word for word in own if num_texts[word] > 1) for own in words]
    like_others = [number for number, own in enumerate(shared) if own]
    num_themes = min(MAX_THEMES, max(1, round(len(like_others) ** 0.5)))
    told = [shared[number] for number in like_others]
    groups = group_vectors(word_vectors([" ".join(sorted(own)) for own in told]), num_themes, seed)
    names = _names(told, groups)
    by_text = {distinct[number]: names[int(group)] for number, group in zip(like_others, groups, strict=True)}
    return [by_text.get(text, OTHER) for text in texts]


def topic_words(text: str) -> frozenset[str]:
    """Words of a text that have a topic, in English without the s of a plural."""
    words = (word for word in words_of(normalised(text).casefold()) if not is_grammar(word))
    return frozenset(_PLURAL.sub("", word) for word in words)


def group_vectors(vectors: Vectors, num_groups: int, seed: int = 0) -> Groups:
    """The group of each of n unit vectors, by k-means on their cosines, the best of `NUM_STARTS`.

    Returns: shape (n,), groups count from 0; some of the `num_groups` may stay empty.
    """
    if not len(vectors):
        return np.zeros(0, dtype=np.int64)
    count = min(num_groups, len(vectors))
    starts = (_far_apart(vectors, count, np.random.default_rng([seed, 6, start])) for start in range(NUM_STARTS))
    found = [_settled(vectors, vectors[chosen]) for chosen in starts]
    return max(found, key=lambda one: one[0])[1]


def _settled(vectors: Vectors, centres: Vectors) -> tuple[float, Groups]:
    """How close the vectors are to their centres in all, and their groups, once these change no more."""
    likeness = vectors @ centres.T
    groups: Groups = np.full(len(vectors), -1)
    for _ in range(NUM_ROUNDS):
        before, groups = groups, np.argmax(likeness, axis=1)
        if np.array_equal(before, groups):
            break
        sums = np.stack([vectors[groups == group].sum(axis=0) for group in range(len(centres))])
        sizes = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(sizes > 0, sums / sizes.clip(min=1e-12), centres)
        likeness = vectors @ centres.T
    return float(likeness.max(axis=1).sum()), np.argmax(likeness, axis=1)


def _far_apart(vectors: Vectors, count: int, rng: np.random.Generator) -> list[int]:
    """Numbers of vectors to start with: each next one drawn the likelier, the less it is like those before."""
    chosen = [int(rng.integers(len(vectors)))]
    nearest = vectors @ vectors[chosen[0]]
    while len(chosen) < count:
        distances = (1.0 - nearest).clip(min=1e-9)
        chosen.append(int(rng.choice(len(vectors), p=distances / distances.sum())))
        nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
    return chosen


def _names(words: Sequence[frozenset[str]], groups: Groups) -> dict[int, str]:
    """The words that a group's texts hold more often than others do, most typical first; no name twice."""
    members: defaultdict[int, list[frozenset[str]]] = defaultdict(list)
    for own, group in zip(words, groups, strict=True):
        members[int(group)].append(own)
    overall = Counter(word for own in words for word in own)
    names: dict[int, str] = {}
    for group, sets in sorted(members.items()):
        inside = Counter(word for own in sets for word in own if len(word) >= MIN_NAME_CHARS)
        # the share of the group's texts with the word, times the share of the word's texts that are the group's
        typical = sorted(inside, key=lambda word: (-(inside[word] ** 2) / overall[word], word))
        name = ", ".join(typical[:NAME_WORDS]) or OTHER
        names[group] = name if name not in names.values() else f"{name} ({group + 1})"
    return names
