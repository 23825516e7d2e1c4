"""Near copies: texts that repeat another text but for some words, found by the runs that they share.

`find_near_copies` compares many texts with many others and finds every near copy. Were a text to share its runs with
another, its rarest runs would be among them, so only those are looked up: what many texts say alike costs nothing.

A changed word breaks every run that holds it: of 100 words, six or seven may differ. Queries are shorter than that:
`find_near_queries` compares runs of characters, and against the longer one, since a query within another is no copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optimize_workers.texts.wording import normalised, words_of

SHINGLE_CHARS = 4  # of a query
SHINGLE_WORDS = 3  # a run of this many words; a shorter text is one run
NEAR_COPY_PERCENT = 80  # of the distinct runs of the smaller text; less would take pages made from one template
_HASH_BASE = np.uint64(0x9E3779B97F4A7C15)

Ids = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


def shingles_of(text: str) -> Hashes:
    """Distinct hashes of the runs of `SHINGLE_WORDS` words, sorted, at least one.

    Case, punctuation and line breaks do not count. Hashes are equal within one process only.
    """
    words = words_of(normalised(text).casefold().replace("_", " ")) or [text.strip()]
    return _runs(np.fromiter(map(hash, words), dtype=np.int64, count=len(words)).view(np.uint64), SHINGLE_WORDS)


def _query_shingles(query: str) -> Hashes:
    """Distinct hashes of the runs of `SHINGLE_CHARS` characters of a normalised query."""
    codes = np.frombuffer(query.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    return _runs(codes.astype(np.uint64), SHINGLE_CHARS)


def _runs(parts: Hashes, length: int) -> Hashes:
    """Distinct hashes of the runs of so many parts; of fewer parts there is one run."""
    run = min(length, len(parts))
    hashes = np.full(len(parts) - run + 1, run, dtype=np.uint64)
    for position in range(run):
        hashes = hashes * _HASH_BASE + parts[position : position + len(hashes)]
    return np.unique(hashes)


def are_near_copies(first: Hashes, second: Hashes) -> bool:
    """Whether most of the smaller one's shingles occur in the other; a text shorter than one run has to be equal."""
    shared = np.intersect1d(first, second, assume_unique=True)
    return len(shared) >= _fewest_shared(min(len(first), len(second)))


def find_near_copies(texts: Sequence[str], others: Iterable[str]) -> dict[int, int]:
    """Which texts are near copies of another one.

    Args:
        texts: kept in memory, about 50 bytes a word.
        others: read one after the other.

    Returns: the number of the first of `others` by the number of the text that nearly copies it.
    """
    return _find(texts, others, shingles_of, np.minimum)


def find_near_queries(queries: Sequence[str], others: Iterable[str]) -> dict[int, int]:
    """Which normalised queries are near copies of another one: most of the longer one's runs are in the other too.

    Returns: as `find_near_copies` does.
    """
    return _find(queries, others, _query_shingles, np.maximum)


def _find(
    texts: Sequence[str], others: Iterable[str], shingles_in: Callable[[str], Hashes], measured: np.ufunc
) -> dict[int, int]:
    """Near copies by the share of the smaller (`np.minimum`) or the larger (`np.maximum`) text's shingles."""
    if not texts:
        return {}
    shingles = [shingles_in(text) for text in texts]
    found: dict[int, int] = {}
    left = list(range(len(texts)))
    index = _index(shingles)
    for number, other in enumerate(others):
        for place in index.near_copies_of(shingles_in(other), measured):
            found.setdefault(left[place], number)
        if 2 * (len(texts) - len(found)) < len(left):  # what is found already is not looked up again and again
            left = [text for text in left if text not in found]
            if not left:
                break
            index = _index([shingles[text] for text in left])
    return found


def _fewest_shared(num_shingles: int) -> int:
    return -(-NEAR_COPY_PERCENT * num_shingles // 100)


@dataclass(frozen=True)
class _Runs:
    """Values by key: `values[starts[key]:starts[key + 1]]`."""

    starts: Ids
    values: Ids

    def of(self, keys: Ids) -> tuple[Ids, Ids]:
        """The values of all keys in a row, and how many of them each key has."""
        starts, sizes = self.starts[keys], self.starts[keys + 1] - self.starts[keys]
        ends = np.cumsum(sizes)
        places = np.arange(int(sizes.sum())) + np.repeat(starts - ends + sizes, sizes)
        return self.values[places], sizes


@dataclass(frozen=True)
class _Index:
    """The shingles of n texts, numbered.

    Attributes:
        shingles: all distinct ones, sorted.
        num_texts: how many texts hold each.
        by_text: shingles of each text.
        texts_by_shingle: texts that hold a shingle.
        texts_by_rare_shingle: only those of whose rarest shingles it is one; a text that shares enough with a larger
            one shares one of these.
    """

    shingles: Hashes
    num_texts: Ids
    by_text: _Runs
    texts_by_shingle: _Runs
    texts_by_rare_shingle: _Runs

    def near_copies_of(self, other: Hashes, measured: np.ufunc) -> list[int]:
        """Numbers of the texts that share enough with another text, of the smaller or the larger of the two."""
        places = np.searchsorted(self.shingles, other).clip(max=len(self.shingles) - 1)
        held = places[self.shingles[places] == other]
        num_rare = len(held) - _fewest_shared(len(other)) + 1  # those that no text holds are rarest of all
        rare = held[np.argsort(self.num_texts[held], kind="stable")[: max(num_rare, 0)]]
        if measured is np.maximum:  # what shares enough of the larger shares one of the rarest of both
            found = [self.texts_by_rare_shingle.of(rare)[0]]
        else:
            found = [self.texts_by_rare_shingle.of(held)[0], self.texts_by_shingle.of(rare)[0]]
        candidates = np.unique(np.concatenate(found))
        if not len(candidates):
            return []
        shingles, sizes = self.by_text.of(candidates)
        is_shared = held[np.searchsorted(held, shingles).clip(max=len(held) - 1)] == shingles
        num_shared = np.add.reduceat(is_shared, np.cumsum(sizes) - sizes, dtype=np.int64)
        whole = measured(sizes, len(other))
        numbers: list[int] = candidates[100 * num_shared >= NEAR_COPY_PERCENT * whole].tolist()
        return numbers


def _index(by_text: Sequence[Hashes]) -> _Index:
    sizes = np.array([len(hashes) for hashes in by_text], dtype=np.int64)
    shingles, ids, num_texts = np.unique(np.concatenate(by_text), return_inverse=True, return_counts=True)
    text_of = np.repeat(np.arange(len(by_text)), sizes)
    order = np.lexsort((num_texts[ids], text_of))  # of each text the rarest first
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    num_rare = sizes - (-(-NEAR_COPY_PERCENT * sizes // 100)) + 1
    rare = order[rank < num_rare[text_of]]
    return _Index(
        shingles=shingles,
        num_texts=num_texts,
        by_text=_Runs(np.concatenate([[0], np.cumsum(sizes)]), ids),
        texts_by_shingle=_grouped(ids, text_of, len(shingles)),
        texts_by_rare_shingle=_grouped(ids[rare], text_of[rare], len(shingles)),
    )


def _grouped(keys: Ids, values: Ids, num_keys: int) -> _Runs:
    order = np.argsort(keys, kind="stable")
    return _Runs(np.searchsorted(keys[order], np.arange(num_keys + 1)), values[order])
