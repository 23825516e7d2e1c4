"""Word vectors: texts as unit vectors of their rare words, so that texts about the same thing lie close together."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Sequence
from itertools import count

import numpy as np
import numpy.typing as npt

from optimize_workers.texts.wording import normalised, words_of

VECTOR_SIZE = 256

Vectors = npt.NDArray[np.float64]


def word_vectors(texts: Sequence[str]) -> Vectors:
    """Unit vectors, shape (n, `VECTOR_SIZE`): words weighted by their rarity, each hashed to one place and a sign."""
    word_ids: defaultdict[str, int] = defaultdict(count().__next__)
    spoken = [[word_ids[word] for word in dict.fromkeys(words_of(normalised(text).casefold()))] for text in texts]
    words = np.array([word for ids in spoken for word in ids], dtype=np.int64)
    text_of = np.repeat(np.arange(len(texts)), np.array([len(ids) for ids in spoken], dtype=np.int64))
    rarity = np.log(len(texts) / np.bincount(words, minlength=len(word_ids))) + 1.0
    hashes = np.array([zlib.crc32(word.encode()) for word in word_ids], dtype=np.int64)
    signs = np.where(hashes // VECTOR_SIZE % 2, 1.0, -1.0)
    places = text_of * VECTOR_SIZE + (hashes % VECTOR_SIZE)[words]
    sums = np.bincount(places, weights=(rarity * signs)[words], minlength=len(texts) * VECTOR_SIZE)
    vectors: Vectors = sums.reshape(len(texts), VECTOR_SIZE).astype(np.float64)  # of no word it would be integers
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
    return vectors
