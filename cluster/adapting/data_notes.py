"""What a command says of its data before it judges them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from optimize_workers.dataset.drawing import SHARES
from optimize_workers.dataset.splits import Dataset
from optimize_workers.texts.wording import shortened

SMALL_SHARE = 0.25  # of the share that a split should have; under it the splits are called uneven
_MAX_SHOWN = 3


def title_of(dataset: Dataset) -> str:
    """Path, sizes and fingerprint."""
    sizes = ", ".join(f"{split} {len(examples)}" for split, examples in dataset.by_split.items())
    return f"data {dataset.path}: {sizes}; fingerprint {dataset.fingerprint[:12]}"


def crossings_of(dataset: Dataset) -> Iterator[str]:
    """What occurs in several splits, and what was drawn unevenly."""
    yield from drawing_of(dataset)
    if dataset.crossing_docs:
        yield (
            f"{len(dataset.crossing_docs)} documents occur in more than one split, such as "
            f"{_first(dataset.crossing_docs)}; they are never shown as demonstrations"
        )
    if dataset.crossing_queries:
        yield (
            f"{len(dataset.crossing_queries)} queries occur in more than one split, by id or by text but for case and "
            f"punctuation, such as {_first(dataset.crossing_queries)}; held-out figures may flatter, split by query "
            "instead"
        )
    if dataset.near_queries:
        query, other = min(dataset.near_queries.items())
        yield (
            f"{len(dataset.near_queries)} queries nearly repeat one of another split, such as {shortened(query)!r} "
            f"and {shortened(other)!r}; held-out figures may flatter a little"
        )


def drawing_of(dataset: Dataset) -> Iterator[str]:
    """What is to be known of splits that were drawn: which is too small, and what depends on the order of rows."""
    if not dataset.is_drawn:
        return
    sizes = {split: len(examples) for split, examples in dataset.by_split.items()}
    num_rows = sum(sizes.values())
    small = [split for split, share in SHARES.items() if sizes[split] < SMALL_SHARE * share * num_rows]
    if dataset.largest_query or small:
        queries = Counter(split for splits in dataset.queries.values() for split in splits)
        shown = ", ".join(f"{split} {n:,} rows of {queries[split]:,} queries" for split, n in sizes.items())
        because = f"; {dataset.largest_query}" if dataset.largest_query else ""
        yield f"splits are drawn by query, and they are uneven: {shown}{because}"
    by_first = dataset.queries_by_first_row
    if by_first:
        yield (
            f"{len(by_first)} queries have ids that would be drawn into several splits, such as {_first(by_first)}; "
            "each goes where its first row does: add rows at the end, or name the splits in a column 'split'"
        )


def near_copies_of(dataset: Dataset) -> Iterator[str]:
    """Training documents that nearly equal held-out ones."""
    if dataset.near_copies:
        yield (
            f"{len(dataset.near_copies)} documents of train are near copies of documents of val or test, such as "
            f"{_first(dataset.near_copies)}; the search does without them"
        )


def tell_nobody(_: Dataset) -> None:
    """For a plan, which shows what there is to tell."""


def _first(ids: frozenset[str]) -> str:
    return ", ".join(sorted(ids)[:_MAX_SHOWN])
