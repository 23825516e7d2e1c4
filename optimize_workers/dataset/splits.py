"""Labelled data: examples from rows, splits by query, a fingerprint, and a sealed test split."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from judge_serve.judging.content_key import digest_of, digest_of_text
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.program import Demonstration
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example, Item
from optimize_workers.dataset.near_copies import find_near_copies
from optimize_workers.dataset.rows import Row, read_rows, refusal, require_text, storable

SPLITS = ("train", "val", "test")
TRAIN_SHARE, VAL_SHARE = 0.6, 0.2
ID_CHARS = 16


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
    """

    path: str
    fingerprint: str
    by_split: dict[str, tuple[Example, ...]]
    crossing_docs: frozenset[str]

    @property
    def crossing_queries(self) -> frozenset[str]:
        """Ids of queries that occur in more than one split: held-out figures may then flatter."""
        seen = Counter(query_id for rows in self.by_split.values() for query_id in {e.item.query_id for e in rows})
        return frozenset(query_id for query_id, num_splits in seen.items() if num_splits > 1)

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
        """Examples of a split; opening `test` is recorded with the data's fingerprint."""
        self.require_split(split)
        if split == "test":
            record_opening(self.fingerprint)
        return self.by_split[split]

    def require_split(self, split: str) -> None:
        """Raise RefusedInputError if a split holds no examples."""
        if not self.by_split[split]:
            present = {name: len(examples) for name, examples in self.by_split.items() if examples}
            raise RefusedInputError(f"{self.path}: split {split!r} is empty, found {present}; choose another --split")


def load_dataset(location: str, scale: Scale) -> Dataset:
    """Load and check labelled data.

    Raises: RefusedInputError at the first bad row, with file, line, column and value.
    """
    rows = list(read_rows(location))
    if not rows:
        raise RefusedInputError(f"{location}: no rows")
    has_splits = any("split" in row.values for row in rows)
    examples = [_to_example(row, scale, has_splits) for row in rows]
    by_split = {split: tuple(e for e in examples if e.split == split) for split in SPLITS}
    splits_of: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for example in examples:
        for key in _document_keys(example):
            splits_of[key].add(example.split)
    crossing = frozenset(e.item.doc_id for e in examples if any(len(splits_of[k]) > 1 for k in _document_keys(e)))
    return Dataset(location, _fingerprint(examples), by_split, crossing)


def load_items(location: str) -> list[tuple[Item, dict[str, Any]]]:
    """Unlabelled pairs with all their columns, for labeling; the same refusals as `load_dataset`."""
    return [(to_item(row), row.values) for row in read_rows(location)]


def draw_examples(examples: Sequence[Example], limit: int | None, seed: int = 0) -> tuple[Example, ...]:
    """At most `limit` examples, drawn by the seed, in their own order."""
    if limit is None or limit >= len(examples):
        return tuple(examples)
    return tuple(examples[i] for i in sorted(np.random.default_rng([seed, 4]).permutation(len(examples))[:limit]))


def to_item(row: Row) -> Item:
    """Query, document and their ids; a missing id is the digest of the text."""
    query, document = require_text(row, "query"), require_text(row, "document")
    return Item(query, document, _id_of(row, "query_id", query), _id_of(row, "doc_id", document))


def _id_of(row: Row, column: str, text: str) -> str:
    value = row.values.get(column)
    return digest_of_text(text)[:ID_CHARS] if value in (None, "") else storable(str(value))  # 0 is an id


def split_of_query(query_id: str) -> str:
    """60/20/20 by a hash of the query id: adding rows never moves a query."""
    position = int.from_bytes(hashlib.sha256(query_id.encode()).digest()[:8]) / 2**64
    if position < TRAIN_SHARE:
        return "train"
    return "val" if position < TRAIN_SHARE + VAL_SHARE else "test"


def _document_keys(example: Example) -> tuple[tuple[str, str], ...]:
    return ("id", example.item.doc_id), ("text", example.item.document)  # one text may stand under two ids


def _to_example(row: Row, scale: Scale, has_splits: bool) -> Example:
    item = to_item(row)
    ratings = tuple(_to_rating(row, "ratings", value, scale) for value in _to_list(row, "ratings"))
    if "rating" in row.values:
        rating = _to_rating(row, "rating", row.values["rating"], scale)
    elif ratings:
        rating = sum(ratings) / len(ratings)
    else:
        raise RefusedInputError(f"column 'rating' is missing ({row.place}); labelled data needs 'rating' or 'ratings'")
    reasons = _to_list(row, "explanations") or _to_list(row, "explanation")
    split = row.values.get("split") if has_splits else split_of_query(item.query_id)
    if split not in SPLITS:
        raise refusal(row, "split", split, f"expected one of {', '.join(SPLITS)} in every row, or no split column")
    for reason in reasons:
        if reason is not None and not isinstance(reason, str):
            raise refusal(row, "explanation", reason, "expected text")
    explanations = tuple(storable(reason.strip()) for reason in reasons if reason and reason.strip())
    return Example(item, rating, explanations, ratings, str(split))


def _to_list(row: Row, column: str) -> list[Any]:
    value = row.values.get(column)
    if value is None:
        return []
    if isinstance(value, str) and column in ("ratings", "explanations"):  # CSV holds lists as JSON
        try:
            value = json.loads(value)
        except ValueError as error:
            raise refusal(row, column, value, "expected a JSON list") from error
    if column == "explanation":
        return [value]
    if not isinstance(value, list):
        raise refusal(row, column, value, "expected a list")
    return value


def _to_rating(row: Row, column: str, value: object, scale: Scale) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError("not a number")
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise refusal(row, column, value, f"expected a number on scale {scale}") from error
    if not math.isfinite(number) or not scale.holds(number):
        raise RefusedInputError(
            f"{column} {value} is off scale {scale} for query_id {row.values.get('query_id')!r} ({row.place}); "
            f"check the {column} column"
        )
    return number


def _fingerprint(examples: list[Example]) -> str:
    rows = Counter(
        digest_of([e.item.query, e.item.document, e.item.query_id, e.item.doc_id, e.gold_rating, e.split])
        for e in examples
    )
    return digest_of(sorted(rows.items()))
