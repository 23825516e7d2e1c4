"""Ranked lists from rows `ranking`, `query_id`, `doc_id` and `rank` or `score`: JSONL, CSV or Parquet."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from judge_serve.judging.errors import RefusedInputError
from optimize_workers.dataset.rows import Row, read_rows, refusal, storable

Rankings = dict[str, dict[str, list[str]]]  # name of a ranking -> query id -> document ids, best first


def load_rankings(location: str) -> Rankings:
    """Load and check ranked lists.

    `rank` counts from the best, whatever the first number; of `score` the highest is the best, and of equal scores the
    row that comes first.

    Raises: RefusedInputError at the first bad row, with file, line, column and value.
    """
    found: defaultdict[str, defaultdict[str, list[tuple[float, str]]]] = defaultdict(lambda: defaultdict(list))
    seen: set[tuple[str, str, str]] = set()
    column = ""
    for row in read_rows(location):
        column = column or ("rank" if "rank" in row.values else "score")
        name, query, doc = (_name(row, one) for one in ("ranking", "query_id", "doc_id"))
        if (name, query, doc) in seen:
            raise refusal(row, "doc_id", doc, f"expected each document once in the list of query {query!r}")
        seen.add((name, query, doc))
        place = _number(row, column)
        found[name][query].append((place if column == "rank" else -place, doc))
    if not found:
        raise RefusedInputError(f"{location}: no rows")
    return {
        name: {query: [doc for _, doc in sorted(docs, key=lambda one: one[0])] for query, docs in lists.items()}
        for name, lists in found.items()
    }


def _name(row: Row, column: str) -> str:
    value: Any = row.values.get(column)
    if value is None or not str(value).strip():
        raise refusal(row, column, value, f"expected a {column} in every row")
    return storable(str(value))


def _number(row: Row, column: str) -> float:
    value: Any = row.values.get(column)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise refusal(row, column, value, "expected a number; give every row 'rank', or every row 'score'") from error
    if not math.isfinite(number) or isinstance(value, bool):
        raise refusal(row, column, value, "expected a finite number")
    return number
