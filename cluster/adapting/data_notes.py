"""What a command says of its data before it judges them."""

from __future__ import annotations

from collections.abc import Iterator

from optimize_workers.dataset.splits import Dataset

_MAX_SHOWN = 3


def title_of(dataset: Dataset) -> str:
    """Path, sizes and fingerprint."""
    sizes = ", ".join(f"{split} {len(examples)}" for split, examples in dataset.by_split.items())
    return f"data {dataset.path}: {sizes}; fingerprint {dataset.fingerprint[:12]}"


def crossings_of(dataset: Dataset) -> Iterator[str]:
    """What occurs in several splits."""
    if dataset.crossing_docs:
        yield (
            f"{len(dataset.crossing_docs)} documents occur in more than one split, such as "
            f"{_first(dataset.crossing_docs)}; they are never shown as demonstrations"
        )
    if dataset.crossing_queries:
        yield (
            f"{len(dataset.crossing_queries)} queries occur in more than one split, such as "
            f"{_first(dataset.crossing_queries)}; held-out figures may flatter, split by query instead"
        )


def near_copies_of(dataset: Dataset) -> Iterator[str]:
    """Training documents that nearly equal held-out ones."""
    if dataset.near_copies:
        yield (
            f"{len(dataset.near_copies)} documents of train are near copies of documents of val or test, such as "
            f"{_first(dataset.near_copies)}; the search does without them"
        )


def _first(ids: frozenset[str]) -> str:
    return ", ".join(sorted(ids)[:_MAX_SHOWN])
