"""Forgetting a document: its texts leave the ledger and the files of recorded runs; figures stay.

Tables and the bullets that runs were offered are rewritten. Other files (reports, candidates, releases) are not: taking
a text out would break what they are, so those that still hold the document, or a bullet that it alone taught, are
listed for a person to delete.
"""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.runs.forgotten_bullets import lines_taught_by, offered_with
from judge_serve.judging.errors import RefusedInputError
from optimize_workers.ledger import Ledger

logger = logging.getLogger(__name__)

TABLES = ("judgments.parquet", "examples.parquet", "labels-*.parquet")
# what tells about the document; a query, ids and figures stay
TEXT_COLUMNS = (
    "document",
    "explanation",
    "explanations",
    "input_explanation",
    "input_explanations",
    "raw_reply",
    "not_judged",  # an endpoint may quote the document in its error
)
_FORGOTTEN_CAUSE = "its document was forgotten"  # the row stays one that was not judged
# files show long documents shortened, so their beginning is looked for
OPENING_CHARS = 200


def forget_document(doc_id: str, ledger: Ledger, home: Path) -> dict[str, Any]:
    """Empty a document's texts wherever this project has put them; safe to repeat.

    Args:
        doc_id: as the data has it.
        ledger: knows the judgments, the reflections and the folders of runs.
        home: of this user's state; MLflow keeps copies of reports and releases there.

    Returns: `doc_id`, numbers of `judgments` and `review_events` emptied and `reflections` deleted, `files_rewritten`,
        and `still_hold`, the files that a person has to look at: they hold the document, or a bullet of it.

    Raises: RefusedInputError if neither the ledger nor any run knows the document.
    """
    folders = [path for path in map(Path, ledger.run_paths()) if path.is_dir()]
    affected, texts, holding = _tables_with([table for folder in folders for table in _tables(folder)], doc_id)
    offered, unreadable = offered_with(folders, doc_id)
    holding += unreadable
    texts = texts.union(lines_taught_by(ledger.review_events(), doc_id), *(one.lines for one in offered))
    # before anything is emptied: a second call after a failure would not know the texts any more
    rewritable = {one.path for one in offered}
    holding += [file for file in _other_files(folders, home) if file not in rewritable and _holds(file, texts)]
    rewrites = [(one.path, one.rewrite) for one in offered]
    rewrites += [(table, partial(_empty, table, doc_id)) for table in affected]
    rewritten = []
    for path, rewrite in rewrites:
        try:
            if rewrite():
                rewritten.append(path)
        except (OSError, RefusedInputError) as error:
            logger.warning("%s cannot be rewritten (%s)", path, error)
            holding.append(path)
    holding += [one.path for one in offered if _holds(one.path, texts)]  # it may quote the document elsewhere
    forgotten = ledger.forget(doc_id)
    if not (affected or offered or any(forgotten)):
        raise RefusedInputError(
            f"document {doc_id!r} is neither in the ledger nor in a folder of its runs; check the id (column doc_id)"
        )
    return {
        "doc_id": doc_id,
        **forgotten._asdict(),
        "files_rewritten": [str(path) for path in rewritten],
        "still_hold": [str(path) for path in dict.fromkeys(holding)],
    }


def _tables(folder: Path) -> list[Path]:
    return sorted(path for pattern in TABLES for path in folder.glob(pattern) if path.is_file())


def _tables_with(tables: Iterable[Path], doc_id: str) -> tuple[list[Path], set[str], list[Path]]:
    """Tables with rows of the document, its texts in them, and tables that cannot be read."""
    affected, unreadable = [], []
    texts: set[str] = set()
    for table in tables:
        try:
            found = _texts_of(table, doc_id)
        except (OSError, pa.ArrowException) as error:
            logger.warning("%s cannot be read (%s)", table, error)
            unreadable.append(table)
            continue
        if found is not None:
            affected.append(table)
            texts |= found
    return affected, texts, unreadable


def _texts_of(table: Path, doc_id: str) -> set[str] | None:
    """The document's texts in a table, trimmed; None if the table has no row of it."""
    names = pq.read_schema(table).names
    if "doc_id" not in names:
        return None
    rows = pq.read_table(table, columns=[name for name in ("doc_id", "document") if name in names])
    mine = rows.filter(_is_of(rows, doc_id))
    if mine.num_rows == 0:
        return None
    documents = mine["document"].to_pylist() if "document" in names else []
    return {text.strip() for text in documents if isinstance(text, str) and text.strip()}


def _empty(path: Path, doc_id: str) -> bool:
    """Empty the document's texts in a table, which is replaced as a whole; whether there were any."""
    table = pq.read_table(path)
    is_mine = _is_of(table, doc_id)
    changed = table
    for name in TEXT_COLUMNS:
        if name not in table.column_names:
            continue
        column = table[name]
        empty = _empty_of(column.type)
        if name == "not_judged" and empty is not None:
            empty = pa.scalar(_FORGOTTEN_CAUSE, type=column.type)
        if empty is None:
            continue
        emptied = pc.if_else(pc.and_(is_mine, pc.is_valid(column)), empty, column)
        changed = changed.set_column(changed.column_names.index(name), table.schema.field(name), emptied)
    if changed.equals(table):
        return False
    scratch = path.with_name(f".{path.name}.tmp")
    try:
        pq.write_table(changed, scratch)
        scratch.rename(path)
    finally:
        scratch.unlink(missing_ok=True)
    return True


def _is_of(table: pa.Table, doc_id: str) -> Any:
    return pc.is_in(table["doc_id"], value_set=pa.array([doc_id], type=table["doc_id"].type))


def _empty_of(kind: pa.DataType) -> pa.Scalar[Any] | None:
    """What replaces a text or a list of texts; None for columns that hold no text."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.scalar("", type=kind)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.scalar([], type=kind)
    return None


def _other_files(folders: list[Path], home: Path) -> Iterator[Path]:
    """Files of runs that are no tables, and what MLflow keeps of them."""
    for folder in folders:
        yield from sorted(path for path in folder.iterdir() if path.is_file() and path.suffix != ".parquet")
    yield from sorted(path for path in (home / "mlartifacts").rglob("*") if path.is_file())
    yield from (path for path in [home / "mlflow.db"] if path.is_file())


def _holds(file: Path, texts: set[str]) -> bool:
    """Whether a file shows the beginning of one of the texts: as it is, or escaped for JSON or HTML."""
    if not texts:
        return False
    try:
        content = file.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        logger.warning("%s cannot be read (%s)", file, error)
        return True
    shown = (content, html.unescape(content))
    return any(form in written for text in texts for form in _forms(text) for written in shown)


def _forms(text: str) -> set[str]:
    opening = text[:OPENING_CHARS].strip()
    return {opening, *(json.dumps(opening, ensure_ascii=is_ascii)[1:-1] for is_ascii in (False, True))}
