"""Themes: texts that speak of the same thing, grouped by their words and named by the most typical ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from optimize_workers.guardrails.wording import normalised, words_of
from optimize_workers.word_vectors import Vectors, word_vectors

MAX_THEMES = 12
NAME_WORDS = 2
MIN_NAME_CHARS = 3  # shorter words name nothing
NUM_ROUNDS = 10  # of k-means; it settles before on what was seen

Groups = npt.NDArray[np.int64]


def themes_of(texts: Sequence[str], seed: int = 0) -> list[str]:
    """The theme of each text, equal texts having equal ones.

    Args:
        texts: queries, such as of all judged pairs; not many thousands of different ones.
        seed: of the first centre.
    """
    distinct = list(dict.fromkeys(texts))
    num_themes = min(MAX_THEMES, max(1, round((len(distinct) / 2) ** 0.5)))
    groups = group_vectors(word_vectors(distinct), num_themes, seed)
    names = _names(distinct, groups)
    by_text = {text: names[int(group)] for text, group in zip(distinct, groups, strict=True)}
    return [by_text[text] for text in texts]


def group_vectors(vectors: Vectors, num_groups: int, seed: int = 0) -> Groups:
    """The group of each of n unit vectors, by k-means on their cosines; shape (n,), groups count from 0.

    Some of the `num_groups` may stay empty.
    """
    if not len(vectors):
        return np.zeros(0, dtype=np.int64)
    centres = vectors[_far_apart(vectors, min(num_groups, len(vectors)), seed)]
    groups: Groups = np.argmax(vectors @ centres.T, axis=1)
    for _ in range(NUM_ROUNDS):
        sums = np.zeros_like(centres)
        np.add.at(sums, groups, vectors)
        sizes = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(sizes > 0, sums / sizes.clip(min=1e-12), centres)
        moved: Groups = np.argmax(vectors @ centres.T, axis=1)
        if (moved == groups).all():
            break
        groups = moved
    return groups


def _far_apart(vectors: Vectors, count: int, seed: int) -> list[int]:
    """Numbers of vectors to start with: one by chance, then each time the one least like those before."""
    chosen = [int(np.random.default_rng([seed, 6]).integers(len(vectors)))]
    nearest = vectors @ vectors[chosen[0]]
    while len(chosen) < count:
        chosen.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
    return chosen


def _names(texts: Sequence[str], groups: Groups) -> dict[int, str]:
    """The words that a group's texts hold more often than others do, most typical first; no name twice."""
    members: defaultdict[int, list[set[str]]] = defaultdict(list)
    for text, group in zip(texts, groups, strict=True):
        words = {word for word in words_of(normalised(text).casefold()) if len(word) >= MIN_NAME_CHARS}
        members[int(group)].append(words)
    overall = Counter(word for sets in members.values() for words in sets for word in words)
    names: dict[int, str] = {}
    for group, sets in sorted(members.items()):
        inside = Counter(word for words in sets for word in words)
        # the share of the group's texts with the word, times the share of the word's texts that are the group's
        typical = sorted(inside, key=lambda word: (-(inside[word] ** 2) / overall[word], word))
        name = ", ".join(typical[:NAME_WORDS]) or "other"
        names[group] = name if name not in names.values() else f"{name} ({group + 1})"
    return names
