"""Rows of a data set: JSONL, CSV or Parquet, a file, a folder or a URI, each row with its exact place."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from judge_serve.judging.errors import RefusedInputError

SUFFIXES = (".jsonl", ".csv", ".parquet")
MAX_TEXT_CHARS = 1_000_000
_SHOWN_CHARS = 60


class Row(NamedTuple):
    """A row's values and where it stands (`file:line`; in Parquet the line is the row number, from 1)."""

    values: dict[str, Any]
    place: str


def read_rows(location: str) -> Iterator[Row]:
    """All rows of a location, files of a folder in name order.

    Raises: RefusedInputError naming file and line for anything unreadable.
    """
    if "@" in location.partition("://")[2].partition("/")[0]:
        raise RefusedInputError("a data address holds no credentials; give them to fsspec by its own settings")
    try:
        filesystem, path = fsspec.url_to_fs(location)
        if not filesystem.exists(path):
            raise RefusedInputError(f"{location}: no such file or folder; check the path")
        is_folder = filesystem.isdir(path)
        files = sorted(f for f in filesystem.find(path) if f.endswith(SUFFIXES)) if is_folder else [path]
    except (ValueError, ImportError, OSError) as error:
        if isinstance(error, RefusedInputError):
            raise
        raise RefusedInputError(f"{location}: cannot be opened ({error})") from error
    if not files:
        raise RefusedInputError(f"{location}: no {', '.join(SUFFIXES)} file in it")
    for file in files:
        yield from _read_file(filesystem, file)


def require_text(row: Row, column: str) -> str:
    """A column's non-empty text."""
    value = row.values.get(column)
    if column not in row.values:
        raise RefusedInputError(f"column {column!r} is missing ({row.place}); add it or rename the one that holds it")
    if not isinstance(value, str) or not value.strip():
        raise refusal(row, column, value, "expected non-empty text")
    if len(value) > MAX_TEXT_CHARS:
        raise refusal(row, column, value, f"expected at most {MAX_TEXT_CHARS} characters, found {len(value)}")
    return storable(value)


def storable(text: str) -> str:
    """The text without lone surrogates, which no store accepts."""
    return text.encode("utf-8", "replace").decode("utf-8")


def refusal(row: Row, column: str, value: object, advice: str) -> RefusedInputError:
    """The error for one bad value: place, column, value, what was expected."""
    shown = repr(value)
    shown = shown if len(shown) <= _SHOWN_CHARS else shown[:_SHOWN_CHARS] + "..."
    return RefusedInputError(f"{column} {shown} refused ({row.place}, column {column!r}); {advice}")


def _read_file(filesystem: Any, path: str) -> Iterator[Row]:
    name = path.rsplit("/", 1)[-1]
    if path.endswith(".jsonl"):
        with filesystem.open(path, "rb") as file:
            yield from _read_jsonl(file, name)
    elif path.endswith(".csv"):
        with filesystem.open(path, "r", encoding="utf-8-sig", newline="") as file:
            yield from _read_csv(file, name)
    elif path.endswith(".parquet"):
        with filesystem.open(path, "rb") as file:
            yield from _read_parquet(file, name)
    else:
        raise RefusedInputError(f"{name}: unknown kind of file; expected one of {', '.join(SUFFIXES)}")


def _read_jsonl(file: Any, name: str) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RefusedInputError(f"not a JSON object ({name}:{number}): {error}") from error
        if not isinstance(values, dict):
            raise RefusedInputError(f"expected a JSON object, found {type(values).__name__} ({name}:{number})")
        yield Row({key: value for key, value in values.items() if value is not None}, f"{name}:{number}")


def _read_csv(file: Any, name: str) -> Iterator[Row]:
    try:
        csv.field_size_limit(MAX_TEXT_CHARS + 1)  # longer texts are refused with their place by `require_text`
        reader = csv.DictReader(file, strict=True)
        for record in reader:
            if None in record or None in record.values():
                raise RefusedInputError(f"wrong number of columns ({name}:{reader.line_num}); check the quoting")
            values = {key: value for key, value in record.items() if value != "" or key in ("query", "document")}
            yield Row(values, f"{name}:{reader.line_num}")
    except (csv.Error, UnicodeDecodeError) as error:
        raise RefusedInputError(f"{name}: not a readable CSV file ({error})") from error


def _read_parquet(file: Any, name: str) -> Iterator[Row]:
    try:
        number = 0
        for batch in pq.ParquetFile(file).iter_batches(batch_size=1_024):
            for values in batch.to_pylist():
                number += 1
                yield Row({key: value for key, value in values.items() if value is not None}, f"{name}:{number}")
    except (pa.ArrowException, OSError) as error:
        raise RefusedInputError(f"{name}: not a readable Parquet file ({error})") from error
