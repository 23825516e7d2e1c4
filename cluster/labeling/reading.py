"""What is to be labeled: pairs, and the columns of theirs that are passed through."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.labeling.shards import LABEL_SCHEMA
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.task import Item
from optimize_workers.dataset import rows as dataset_rows
from optimize_workers.dataset.labelled import to_item

Row = tuple[Item, dict[str, Any]]  # a pair and the columns that came with it

_UNFIT = (pa.ArrowException, UnicodeEncodeError, OverflowError, TypeError, ValueError)  # what Arrow says of a value


def read_rows(location: str) -> list[Row]:
    """The rows of a file, folder or URI.

    Raises: RefusedInputError if there are none, or if one cannot be read or a column cannot be passed through.
    """
    found = list(dataset_rows.read_rows(location))
    if not found:
        raise RefusedInputError(f"{location}: no rows")
    rows = [(to_item(row), row.values) for row in found]
    passed_columns(rows, [row.place for row in found])  # before anything is started for them
    return rows


def passed_columns(rows: Sequence[Row], places: Sequence[str] = ()) -> pa.Table:
    """The input's columns with one type each, made before any pair is judged.

    Args:
        rows: pairs with their columns.
        places: of the rows, for messages.

    Raises: RefusedInputError for a column of several types, or of one that Parquet cannot hold, naming a row.
    """
    own = {field.name for field in LABEL_SCHEMA}
    columns = dict.fromkeys(name for _, values in rows for name in values)  # a row may lack some
    table = pa.table({"query_id": [i.query_id for i, _ in rows], "doc_id": [i.doc_id for i, _ in rows]})
    for name in columns:
        if name in ("query_id", "doc_id"):
            continue
        shown = f"input_{name}" if name in own else name
        if shown in table.column_names:
            raise RefusedInputError(f"columns {name!r} and {shown!r} would both be written as {shown!r}; rename one")
        values = [values.get(name) for _, values in rows]
        try:
            column = _writable(name, values)
        except _UNFIT as error:
            number = _first_unfit(name, values)
            place = places[number] if places else f"row {number + 1}"
            raise RefusedInputError(
                f"column {name!r} cannot be passed through ({place}): {error}; give it one type that Parquet holds, "
                "text for instance, or leave it out"
            ) from error
        table = table.append_column(shown, column)
    return table


def _writable(name: str, values: Sequence[Any]) -> pa.Array[Any]:
    """The values as a column that Parquet holds."""
    column: pa.Array[Any]
    try:
        column = pa.array(values)
    except OverflowError:
        column = pa.array(values, pa.uint64())  # hashes, for instance; Arrow tries signed numbers only
    pq.write_table(pa.table({name: column[:0]}), io.BytesIO())  # refuses types that Parquet lacks
    return column


def _first_unfit(name: str, values: Sequence[Any]) -> int:
    """The number of the value with which a column ceases to be writable."""
    fit, unfit = 0, len(values)
    while unfit - fit > 1:
        middle = (fit + unfit) // 2
        try:
            _writable(name, values[:middle])
            fit = middle
        except _UNFIT:
            unfit = middle
    return unfit - 1
