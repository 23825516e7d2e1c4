"""Rows of a data set: JSONL, CSV or Parquet, a file, a folder or a URI, each row with its exact place."""

from __future__ import annotations

import csv
import io
import json
import lzma
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from judge_serve.judging.errors import RefusedInputError
from optimize_workers.dataset.files import DataFile, find_files

MAX_TEXT_CHARS = 1_000_000
MAX_WHOLE_FLOAT = 2**53  # above it a float says no whole number exactly
_SHOWN_CHARS = 60
_IDS = ("query_id", "doc_id")
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_WHOLE_NUMBER = re.compile(r"[+-]?\d+\.0")
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException)  # what a damaged file raises


class Row(NamedTuple):
    """A row's values and where it stands (`file:line`; in Parquet the line is the row number, from 1)."""

    values: dict[str, Any]
    place: str


def read_rows(location: str) -> Iterator[Row]:
    """All rows of a location, files of a folder in name order, with the columns that `key=value` folders give.

    Raises: RefusedInputError naming file and line for anything unreadable.
    """
    for file in find_files(location):
        yield from _with_columns(_READERS[file.suffix](file), file.columns)


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


def given_id(row: Row, column: str) -> str | None:
    """An id as text, whole numbers without a fraction (101.0 is "101", as other tools hold ids as floats); 0 is one.

    Returns: None where there is none, which an empty text and NaN say too.
    """
    value = row.values.get(column)
    if value is None or value == "" or is_nan(value):
        return None
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict | list | bytes | bool):
        raise refusal(row, column, value, "expected text or a number")
    if isinstance(value, float | Decimal):
        if (isinstance(value, float) and abs(value) > MAX_WHOLE_FLOAT) or not math.isfinite(value):
            raise refusal(row, column, value, "this number holds no id exactly; write ids as text or whole numbers")
        return str(int(value)) if value == int(value) else str(value)
    return str(value)


def is_nan(value: object) -> bool:
    """Whether a value says that there is none, as tools do that hold columns as floats."""
    return isinstance(value, float | Decimal) and math.isnan(value)


def storable(text: str) -> str:
    """The text without lone surrogates, which no store accepts."""
    return text.encode("utf-8", "replace").decode("utf-8")


def refusal(row: Row, column: str, value: object, advice: str) -> RefusedInputError:
    """The error for one bad value: place, column, value, what was expected."""
    shown = repr(value)
    shown = shown if len(shown) <= _SHOWN_CHARS else shown[:_SHOWN_CHARS] + "..."
    return RefusedInputError(f"{column} {shown} refused ({row.place}, column {column!r}); {advice}")


def _with_columns(rows: Iterator[Row], columns: dict[str, str]) -> Iterator[Row]:
    """Rows with the columns that the folders of their file give."""
    if not columns:
        yield from rows
        return
    for row in rows:
        for key, value in columns.items():
            own = row.values.get(key)
            if own is not None and str(own) != value:
                raise refusal(row, key, own, f"its folder is named {key}={value}; expected one value")
        yield Row({**columns, **row.values}, row.place)


def _read_jsonl(file: DataFile) -> Iterator[Row]:
    decode = json.JSONDecoder(object_pairs_hook=_object).decode
    for number, line in _lines(file):
        place = f"{file.name}:{number}"
        try:
            text = line.removeprefix(_BOM).decode("utf-8", "surrogatepass").strip()
            if not text:
                continue
            values = decode(text)
        except UnicodeDecodeError as error:
            raise RefusedInputError(f"not a JSON object ({place}): {_not_utf8(line, error.start)}") from error
        except _DoubledError as error:
            raise RefusedInputError(f"{error} ({place}); keep one") from error
        except (ValueError, RecursionError) as error:
            raise RefusedInputError(f"not a JSON object ({place}): {error}") from error
        if not isinstance(values, dict):
            raise RefusedInputError(f"expected a JSON object, found {type(values).__name__} ({place})")
        yield Row({key: value for key, value in values.items() if value is not None}, place)


def _read_csv(file: DataFile) -> Iterator[Row]:
    csv.field_size_limit(MAX_TEXT_CHARS + 1)  # longer texts are refused with their place by `require_text`
    reader = csv.reader((line for _, line in _text_lines(file)), strict=True)
    names: list[str] | None = None
    begins = 1
    try:
        for cells in reader:
            place = f"{file.name}:{reader.line_num}"
            if not cells:
                pass  # an empty line
            elif names is None:
                names = cells
                _require_single(names, place)
            elif len(cells) != len(names):
                raise RefusedInputError(f"wrong number of columns ({place}); check the quoting")
            else:
                yield Row(_csv_values(names, cells), place)
            begins = reader.line_num + 1
    except csv.Error as error:
        lines = str(begins) if begins == reader.line_num else f"{begins} to {reader.line_num}"
        raise RefusedInputError(
            f"{file.name}: not a readable CSV file ({file.name}:{begins}: {error}, in the row of line {lines}); "
            "check the quoting"
        ) from error


def _csv_values(names: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    """The cells that hold something, by column; ids of a column of floats as the floats that they were."""
    values: dict[str, Any] = {
        name: cell for name, cell in zip(names, cells, strict=True) if cell or name in ("query", "document")
    }
    for column in _IDS:
        cell = values.get(column, "")
        if cell in ("nan", "NaN"):
            del values[column]
        elif cell.endswith(".0") and _WHOLE_NUMBER.fullmatch(cell):
            values[column] = cell[:-2]
    return values


def _read_parquet(file: DataFile) -> Iterator[Row]:
    number = 0
    try:
        with file.open() as opened:
            parquet = pq.ParquetFile(opened)
            _require_single(parquet.schema_arrow.names, file.name)
            for batch in parquet.iter_batches(batch_size=1_024):
                for values in _batch_values(batch, file.name, number):
                    number += 1
                    given = {key: value for key, value in values.items() if value is not None}
                    yield Row(given, f"{file.name}:{number}")
    except _BROKEN as error:
        after = f" after row {number}" if number else ""
        raise RefusedInputError(f"{file.name}: not a readable Parquet file{after} ({error})") from error


def _batch_values(batch: pa.RecordBatch, name: str, start: int) -> list[dict[str, Any]]:
    """Values of a batch by row; those that Python has no type for, such as times to the nanosecond, are refused."""
    try:
        values: list[dict[str, Any]] = batch.to_pylist()
    except (ValueError, OverflowError) as error:
        for column in batch.column_names:
            for row, value in enumerate(batch[column]):
                try:
                    value.as_py()
                except (ValueError, OverflowError) as found:
                    raise RefusedInputError(
                        f"{column} refused ({name}:{start + row + 1}, column {column!r}): {found}; convert the column"
                    ) from found
        raise RefusedInputError(f"{name}: rows from {start + 1} cannot be read ({error})") from error
    return values


def _lines(file: DataFile) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their numbers."""
    number = 0
    try:
        with file.open() as opened:
            for number, line in enumerate(opened, start=1):
                yield number, line
    except _BROKEN as error:
        raise RefusedInputError(f"{file.name}:{number + 1}: the file cannot be read on ({error})") from error


def _text_lines(file: DataFile) -> Iterator[tuple[int, str]]:
    """The lines of a file as text; any of the three line ends ends one."""
    number = 0
    try:
        with file.open() as opened:
            text = io.TextIOWrapper(opened, "utf-8-sig", errors="surrogateescape", newline="")
            for number, line in enumerate(text, start=1):
                if not line.isascii():
                    _require_utf8(line, f"{file.name}:{number}")
                yield number, line
    except _BROKEN as error:
        raise RefusedInputError(f"{file.name}:{number + 1}: the file cannot be read on ({error})") from error


def _require_utf8(line: str, place: str) -> None:
    """Refuse a line with bytes that are no UTF-8, which were read as lone surrogates."""
    try:
        line.encode()
    except UnicodeEncodeError as error:
        start = len(line[: error.start].encode())
        found = _not_utf8(line.encode("utf-8", "surrogateescape"), start)
        raise RefusedInputError(f"{place.partition(':')[0]}: not a readable CSV file ({place}: {found})") from error


def _not_utf8(line: bytes, start: int) -> str:
    kind = "; the file looks like UTF-16" if line.startswith(_UTF16) else ""
    return f"byte {start + 1} of the line is 0x{line[start]:02x}, which is no UTF-8{kind}; save the file as UTF-8"


class _DoubledError(Exception):
    """An object names a key twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise _DoubledError(f"column {_first_doubled([key for key, _ in pairs])!r} stands twice")
    return values


def _require_single(names: Sequence[str], place: str) -> None:
    if len(set(names)) != len(names):
        raise RefusedInputError(f"column {_first_doubled(names)!r} stands twice ({place}); rename or remove one")


def _first_doubled(names: Sequence[str]) -> str:
    return next(name for name, count in Counter(names).items() if count > 1)


_READERS = {".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}
