"""What a report is made of, as plain data: tables and charts in sections, and how values are written in them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

NOTHING = "-"  # what stands for a figure that is undefined or was not recorded
MAX_CELL_CHARS = 300
MAX_ROWS = 2_000  # of a table behind a chart; a report stays small


@dataclass(frozen=True)
class Column:
    """A column of a table; numbers are set to the right."""

    name: str
    is_number: bool = False


@dataclass(frozen=True)
class Table:
    """Cells as they are shown; the first of each row is its heading. A folded one is shown on demand."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    is_folded: bool = False

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), "a cell for each column"


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite specification with what stands around it; the table holds the same figures.

    Attributes:
        name: unique in a report.
        caption: says what is seen, for those who do not see it too.
    """

    name: str
    caption: str
    spec: dict[str, Any]
    table: Table


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        name: anchor, unique in a report.
        verdict: a word beside the title, such as `refused`.
        paragraphs: texts before the rest.
        blocks: tables and charts in their order.
        partial: template that shows `content`, after them.
    """

    name: str
    title: str
    verdict: str = ""
    paragraphs: tuple[str, ...] = ()
    blocks: tuple[Table | Chart, ...] = ()
    partial: str = ""
    content: Any = None

    @property
    def tables(self) -> list[Table]:
        """Those of the blocks that are tables."""
        return [block for block in self.blocks if isinstance(block, Table)]

    @property
    def charts(self) -> list[Chart]:
        """Those of the blocks that are charts."""
        return [block for block in self.blocks if isinstance(block, Chart)]

    @property
    def groups(self) -> list[tuple[str, list[Table | Chart]]]:
        """The blocks in their order, those of a kind that follow each other together, as `charts` or `tables`."""
        kinds = groupby(self.blocks, key=lambda block: "charts" if isinstance(block, Chart) else "tables")
        return [(kind, list(blocks)) for kind, blocks in kinds]


def words(*names: str) -> tuple[Column, ...]:
    """Columns of text."""
    return tuple(Column(name) for name in names)


def numbers(*names: str) -> tuple[Column, ...]:
    """Columns of numbers."""
    return tuple(Column(name, is_number=True) for name in names)


def finite(value: Any) -> float | None:
    """A number that can be shown and written as JSON, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def shown(value: Any, digits: int = 1, *, signed: bool = False) -> str:
    """A figure with so many decimals, a dash where there is none."""
    number = finite(value)
    if number is None:
        return NOTHING
    text = f"{number:{'+' if signed else ''},.{digits}f}"
    return text.lstrip("+-") if float(text.replace(",", "")) == 0.0 else text  # no -0.0


def interval_of(value: Any) -> tuple[float, float] | None:
    """The two ends of an interval, None if there is none."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        return None
    low, high = finite(value[0]), finite(value[1])
    return None if low is None or high is None else (low, high)


def shown_interval(value: Any, digits: int = 1, *, signed: bool = False) -> str:
    """An interval as `low to high`, a dash where there is none."""
    ends = interval_of(value)
    return NOTHING if ends is None else " to ".join(shown(end, digits, signed=signed) for end in ends)


def with_interval(value: Any, interval: Any, digits: int = 1, *, signed: bool = False) -> str:
    """A figure with its interval in brackets, where it has one."""
    number = shown(value, digits, signed=signed)
    return number if interval_of(interval) is None else f"{number} ({shown_interval(interval, digits, signed=signed)})"


def shown_any(value: Any) -> str:
    """A recorded value of any kind, in one short line."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if math.isfinite(value) and abs(value) < 1e6 else shown(value, 0)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return cut(", ".join(map(shown_any, value))) or NOTHING
    return cut(str(value))


def cut(text: str, most: int = MAX_CELL_CHARS) -> str:
    """A text of at most so many characters, with how many were left out."""
    return text if len(text) <= most else f"{text[:most].rstrip()} … ({len(text) - most:,} more characters)"


def facts_table(facts: Mapping[str, Any], caption: str = "", columns: tuple[str, str] = ("what", "value")) -> Table:
    """Names and values below each other; what is nested is named by its path."""
    rows = tuple((name, shown_any(value)) for name, value in _flat(facts))
    return Table(words(*columns), rows[:MAX_ROWS], caption)


def tables_of(content: Any, caption: str = "") -> tuple[Table, ...]:
    """Recorded content whose shape is not known: its single values as one table, each list of records as another."""
    if isinstance(content, list):
        records = [entry for entry in content if isinstance(entry, Mapping)]
        return (_records_table(records, caption),) if records else ()
    if not isinstance(content, Mapping):
        return ()
    lists = {key: value for key, value in content.items() if _is_records(value)}
    facts = {key: value for key, value in content.items() if key not in lists}
    first = (facts_table(facts, caption),) if facts else ()
    return (*first, *(_records_table(rows, f"{caption}: {key}" if caption else key) for key, rows in lists.items()))


def _records_table(records: Sequence[Mapping[str, Any]], caption: str) -> Table:
    flat = [dict(_flat(record)) for record in records[:MAX_ROWS]]
    names = list(dict.fromkeys(name for record in flat for name in record))
    columns = tuple(
        Column(name.replace("_", " "), all(finite(record.get(name, 0)) is not None for record in flat))
        for name in names
    )
    return Table(columns, tuple(tuple(shown_any(record.get(name)) for name in names) for record in flat), caption)


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, Mapping) for entry in value)


def _flat(content: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        name = f"{path}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{name}.")
        else:
            yield name, value
