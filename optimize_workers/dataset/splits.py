"""Labelled data: examples by split, what crosses splits, fingerprints, and a sealed test split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from judge_serve.judging.content_key import digest_of
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.program import Demonstration
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example, Item
from optimize_workers.dataset.drawing import Drawing, split_of_query
from optimize_workers.dataset.labelled import ID_CHARS, SPLITS, given_split, names_split, to_example, to_item
from optimize_workers.dataset.near_copies import find_near_copies, find_near_queries
from optimize_workers.dataset.rows import read_rows
from optimize_workers.texts.query_groups import normalised_query, query_groups

__all__ = [
    "ID_CHARS",
    "SPLITS",
    "Dataset",
    "OptimizationData",
    "draw_examples",
    "load_dataset",
    "load_items",
    "split_of_query",
]

MAX_COMPARED = 50_000  # queries on each side, for about ten seconds


@dataclass(frozen=True, slots=True)
class OptimizationData:
    """What optimizers receive: there is no test split in it."""

    train: tuple[Example, ...]
    val: tuple[Example, ...]


@dataclass(frozen=True)
class Dataset:
    """Labelled examples by split.

    Attributes:
        fingerprint: SHA-256 of the content, independent of the order of rows.
        crossing_docs: ids of documents that occur in more than one split; never used as demonstrations.
        is_drawn: whether the splits were drawn, since the rows name none.
    """

    path: str
    fingerprint: str
    by_split: dict[str, tuple[Example, ...]]
    crossing_docs: frozenset[str]
    is_drawn: bool = False

    @cached_property
    def test_fingerprint(self) -> str:
        """SHA-256 of the test rows alone: by it their openings are counted, whatever becomes of the other rows."""
        return fingerprint_of(self.by_split["test"])

    @cached_property
    def queries(self) -> dict[str, Counter[str]]:
        """Rows of each query by split; a query is named by the first of its ids, see `texts.query_groups`."""
        examples = [e for split in SPLITS for e in self.by_split[split]]
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for name, example in zip(query_groups(e.item for e in examples), examples, strict=True):
            found[name][example.split] += 1
        return dict(found)

    @cached_property
    def queries_by_first_row(self) -> frozenset[str]:
        """Queries whose ids would be drawn into several splits, so that the order of rows decides."""
        examples = [example for split in SPLITS for example in self.by_split[split]]
        drawn: defaultdict[str, set[str]] = defaultdict(set)
        for name, example in zip(query_groups(e.item for e in examples), examples, strict=True):
            drawn[name].add(split_of_query(example.item.query_id))
        return frozenset(name for name, splits in drawn.items() if len(splits) > 1)

    @property
    def crossing_queries(self) -> frozenset[str]:
        """Queries that occur in more than one split: held-out figures may then flatter."""
        return frozenset(name for name, splits in self.queries.items() if len(splits) > 1)

    @cached_property
    def near_queries(self) -> dict[str, str]:
        """Texts of queries that are near copies of a query of another split, with that query's text.

        Of more than `MAX_COMPARED` queries on a side only the first so many are compared.
        """
        texts = {
            split: {normalised_query(e.item.query): e.item.query for e in self.by_split[split]} for split in SPLITS
        }
        found: dict[str, str] = {}
        for split, later in (("train", ("val", "test")), ("val", ("test",))):
            others = {text: shown for one in later for text, shown in texts[one].items()}
            own = [text for text in texts[split] if text not in others][:MAX_COMPARED]
            held = list(others)[:MAX_COMPARED]
            near = find_near_queries(own, held)
            found |= {texts[split][own[number]]: others[held[other]] for number, other in near.items()}
        return found

    @cached_property
    def near_copies(self) -> frozenset[str]:
        """Ids of further documents of train that are near copies of one of val or test; computed at first use."""
        own = [e.item for e in self.by_split["train"] if e.item.doc_id not in self.crossing_docs]
        documents = list(dict.fromkeys(item.document for item in own))
        copies = {documents[number] for number in find_near_copies(documents, self._held_out())}
        return frozenset(item.doc_id for item in own if item.document in copies)

    def for_optimizers(self, shown: Sequence[Demonstration] = ()) -> OptimizationData:
        """Train and val; whatever is in train may be shown in a prompt.

        No document of another split is, nor a near copy of one; nor one that the judge's own demonstrations show, or
        nearly: a pair under judgment must not stand in its own prompt.
        """
        unfit = self.crossing_docs | self.near_copies
        usable = [e for e in self.by_split["train"] if e.item.doc_id not in unfit]
        given_away = find_near_copies([e.item.document for e in usable], [one.document for one in shown])
        kept = tuple(e for number, e in enumerate(usable) if number not in given_away)
        return OptimizationData(train=kept, val=self.by_split["val"])

    def require_unseen(self, shown: Sequence[Demonstration]) -> None:
        """Raise RefusedInputError if the judge's own demonstrations show a document of val or test or a near copy."""
        held_out = self._held_out()
        found = find_near_copies([one.document for one in shown], held_out)
        if found:
            number = min(found)
            example = list(held_out.values())[found[number]]
            raise RefusedInputError(
                f"{self.path}: demonstration {number + 1} of the judge shows document {example.item.doc_id!r} of split "
                f"{example.split!r} or a near copy, which would flatter its figures; take the demonstration out of the "
                "judge, or move the rows of that document to split 'train'"
            )

    def _held_out(self) -> dict[str, Example]:
        """The examples of val and test by document."""
        return {e.item.document: e for split in ("val", "test") for e in self.by_split[split]}

    def open_split(self, split: str, record_opening: Callable[[str], None]) -> tuple[Example, ...]:
        """Examples of a split; opening `test` is recorded with the fingerprint of its rows."""
        self.require_split(split)
        if split == "test":
            record_opening(self.test_fingerprint)
        return self.by_split[split]

    def as_dict(self) -> dict[str, Any]:
        """Where the data are, which they are, and how many rows each split has."""
        sizes = {split: len(examples) for split, examples in self.by_split.items()}
        return {"path": self.path, "fingerprint": self.fingerprint, "rows": sum(sizes.values()), "splits": sizes}

    def require_split(self, split: str) -> None:
        """Raise RefusedInputError if a split holds no examples."""
        if not self.by_split[split]:
            present = {name: len(examples) for name, examples in self.by_split.items() if examples}
            largest = self.largest_query
            swallowed = f"; {largest}" if largest and self.is_drawn else ""
            raise RefusedInputError(
                f"{self.path}: split {split!r} is empty, found {present}{swallowed}; choose another --split"
            )

    @property
    def largest_query(self) -> str | None:
        """A query that has more than half of all rows, in words: its split swallows the others."""
        num_rows = sum(map(len, self.by_split.values()))
        name, splits = max(self.queries.items(), key=lambda one: one[1].total(), default=("", Counter[str]()))
        if 2 * splits.total() <= num_rows:
            return None
        return f"query {name!r} alone has {splits.total():,} of {num_rows:,} rows, and a query is never divided"


def load_dataset(location: str, scale: Scale) -> Dataset:
    """Load and check labelled data.

    Raises: RefusedInputError at the first bad row, with file, line, column and value.
    """
    rows = list(read_rows(location))
    if not rows:
        raise RefusedInputError(f"{location}: no rows")
    drawing = None if any(map(names_split, rows)) else Drawing()
    examples = []
    for row in rows:
        item = to_item(row)
        split = drawing.split_of(item, row.place) if drawing else given_split(row)
        examples.append(to_example(row, item, scale, split))
    if drawing:
        drawing.require_unmoved(location)
    by_split = {split: tuple(e for e in examples if e.split == split) for split in SPLITS}
    splits_of: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for example in examples:
        for key in _document_keys(example):
            splits_of[key].add(example.split)
    crossing = frozenset(e.item.doc_id for e in examples if any(len(splits_of[k]) > 1 for k in _document_keys(e)))
    return Dataset(location, fingerprint_of(examples), by_split, crossing, is_drawn=drawing is not None)


def load_items(location: str) -> list[tuple[Item, dict[str, Any]]]:
    """Unlabelled pairs with all their columns, for labeling; the same refusals as `load_dataset`."""
    return [(to_item(row), row.values) for row in read_rows(location)]


def draw_examples(examples: Sequence[Example], limit: int | None, seed: int = 0) -> tuple[Example, ...]:
    """At most `limit` examples, drawn by the seed, in their own order."""
    if limit is None or limit >= len(examples):
        return tuple(examples)
    return tuple(examples[i] for i in sorted(np.random.default_rng([seed, 4]).permutation(len(examples))[:limit]))


def _document_keys(example: Example) -> tuple[tuple[str, str], ...]:
    return ("id", example.item.doc_id), ("text", example.item.document)  # one text may stand under two ids


def fingerprint_of(examples: Iterable[Example]) -> str:
    """SHA-256 of examples with their ratings and splits, in any order."""
    rows = Counter(
        digest_of([e.item.query, e.item.document, e.item.query_id, e.item.doc_id, e.gold_rating, e.split])
        for e in examples
    )
    return digest_of(sorted(rows.items()))
