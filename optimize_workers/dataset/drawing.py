"""Splits of data that name none: 60/20/20 by query, so that rows added at the end never move a query."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.task import Item
from optimize_workers.texts.query_groups import QueryGroup, QueryGrouping

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
_MAX_SHOWN = 3


def split_of_query(query_id: str) -> str:
    """60/20/20 by a hash of the query id."""
    position = int.from_bytes(hashlib.sha256(query_id.encode()).digest()[:8]) / 2**64
    if position < SHARES["train"]:
        return "train"
    return "val" if position < SHARES["train"] + SHARES["val"] else "test"


class _Move(NamedTuple):
    """A row that joins two queries of different splits, so that one of them would change its split."""

    place: str
    kept: QueryGroup
    moved: QueryGroup


class Drawing:
    """Draws the split of one row after the other: that of the first id of its query.

    What the rows before a row are in does not depend on it, so a file that grows at its end keeps its splits.
    """

    def __init__(self) -> None:
        self._grouping = QueryGrouping()
        self._places: list[str] = []
        self._split_of: dict[str, str] = {}
        self._moves: list[_Move] = []

    def split_of(self, item: Item, place: str) -> str:
        """The split of the next row."""
        group, joined = self._grouping.add(item)
        self._places.append(place)
        split = self._drawn(group.name)
        if joined is not None and self._drawn(joined.name) != split:
            self._moves.append(_Move(place, group, joined))
        return split

    def require_unmoved(self, location: str) -> None:
        """Raise RefusedInputError naming the rows that join queries of different splits."""
        if not self._moves:
            return
        shown = "; ".join(self._told(move) for move in self._moves[:_MAX_SHOWN])
        more = f"; and {len(self._moves) - _MAX_SHOWN} more" if len(self._moves) > _MAX_SHOWN else ""
        raise RefusedInputError(
            f"{location}: {len(self._moves)} rows join queries, by id or text, that are drawn into different splits, "
            f"and would move one of them: {shown}{more}; take these rows out, or give every row its split in a column "
            "'split'"
        )

    def _told(self, move: _Move) -> str:
        one, other = ((group, self._places[group.first_row]) for group in (move.kept, move.moved))
        return f"{move.place} joins " + " and ".join(
            f"query {group.name!r} of split {self._drawn(group.name)!r} ({place})" for group, place in (one, other)
        )

    def _drawn(self, name: str) -> str:
        if name not in self._split_of:
            self._split_of[name] = split_of_query(name)
        return self._split_of[name]
