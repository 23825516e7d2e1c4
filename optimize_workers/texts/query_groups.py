"""Which queries are one: rows that share a query id, or a text but for case, white space and punctuation.

Data number the rows of one query as queries of their own, or spell one query in several ways. Splits, resampling and
whatever else asks "is this the same query?" goes by these groups; the ids stay what the data say.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from judge_serve.judging.task import Item

MAX_REMEMBERED = 2**16  # normalised texts; figures of one data set are computed again and again


class _Spelling(dict[int, str]):
    """What stands for a character: a space for punctuation, nothing for what is not seen, else itself."""

    def __missing__(self, code: int) -> str:
        kind = unicodedata.category(chr(code))
        self[code] = "" if kind == "Cf" or chr(code) in _APOSTROPHES else " " if kind[0] == "P" else chr(code)
        return self[code]


_APOSTROPHES = "'\u2019"  # within a word: "don't" is "dont"
_SPELLING = _Spelling()


@lru_cache(MAX_REMEMBERED)
def normalised_query(text: str) -> str:
    """The text without case, punctuation and spare white space; one of punctuation alone stays as it is."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    folded = " ".join(text.casefold().translate(_SPELLING).split())
    return folded or " ".join(text.split())


def query_names(item: Item) -> frozenset[tuple[str, str]]:
    """By what a pair's query is known: two pairs that share one of these are of one query."""
    return frozenset({("id", item.query_id), ("text", normalised_query(item.query))})


@dataclass(eq=False, slots=True)
class QueryGroup:
    """Rows of one query.

    Attributes:
        name: the query id of its first row.
        first_row: number of that row, from 0.
        joined: the earlier group that a later row showed to be the same.
    """

    name: str
    first_row: int
    joined: QueryGroup | None = None

    def root(self) -> QueryGroup:
        """The group that this one is part of by now."""
        group = self
        while group.joined is not None:
            group = group.joined
        return group


class QueryGrouping:
    """Puts rows into groups, one after the other.

    The name of a group is that of its first row, so that rows added at the end change no name, except where one joins
    two groups.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, QueryGroup] = {}
        self._by_text: dict[str, QueryGroup] = {}
        self._num_rows = 0

    def add(self, item: Item) -> tuple[QueryGroup, QueryGroup | None]:
        """The group of the next row, and the later group that this row joins to it, if it joins two."""
        text = normalised_query(item.query)
        by_id, by_text = self._by_id.get(item.query_id), self._by_text.get(text)
        joined = None
        if by_id is None and by_text is None:
            group = QueryGroup(item.query_id, self._num_rows)
        elif by_id is None or by_text is None:
            group = (by_id or by_text).root()  # type: ignore[union-attr]
        else:
            group, other = by_id.root(), by_text.root()
            if group is not other:
                group, joined = sorted((group, other), key=lambda one: one.first_row)
                joined.joined = group
        self._by_id[item.query_id] = self._by_text[text] = group
        self._num_rows += 1
        return group, joined


def query_groups(items: Iterable[Item]) -> list[str]:
    """The name of each item's group, which is the query id of the group's first item."""
    grouping = QueryGrouping()
    groups = [grouping.add(item)[0] for item in items]
    return [group.root().name for group in groups]
