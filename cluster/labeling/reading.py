"""What is to be labeled: pairs, and the columns of theirs that are passed through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from cluster.labeling.shards import LABEL_SCHEMA
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.task import Item
from optimize_workers.dataset.splits import load_items

Row = tuple[Item, dict[str, Any]]  # a pair and the columns that came with it


def read_rows(location: str) -> list[Row]:
    """The rows of a file, folder or URI.

    Raises: RefusedInputError if there are none, or if they cannot be read.
    """
    rows = load_items(location)
    if not rows:
        raise RefusedInputError(f"{location}: no rows")
    return rows


def passed_columns(rows: Sequence[Row]) -> pa.Table:
    """The input's columns with one type each, made before any pair is judged.

    Raises: RefusedInputError if a column holds values of several types.
    """
    own = {field.name for field in LABEL_SCHEMA}
    columns = dict.fromkeys(name for _, values in rows for name in values)  # a row may lack some
    table = pa.table({"query_id": [i.query_id for i, _ in rows], "doc_id": [i.doc_id for i, _ in rows]})
    for name in columns:
        if name in table.column_names:
            continue
        try:
            column = pa.array([values.get(name) for _, values in rows])
        except (pa.ArrowException, UnicodeEncodeError) as error:
            raise RefusedInputError(f"column {name!r} cannot be passed through ({error}); give it one type") from error
        table = table.append_column(f"input_{name}" if name in own else name, column)
    return table
