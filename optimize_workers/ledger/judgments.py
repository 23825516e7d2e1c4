"""Judgments as rows and back, by key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Text, bindparam, select, type_coerce

from judge_serve.judging.judgment import AnswerMode, InvalidReason, Judgment
from optimize_workers.ledger.failures import LedgerError
from optimize_workers.ledger.insertion import insert_new, storable_time
from optimize_workers.ledger.schema import AnyText, escaped, judgments, unescaped

KEYS_PER_QUERY = 1_000  # bound parameters of one statement
_MODES: dict[str, AnswerMode] = {mode.value: mode for mode in AnswerMode}
_REASONS: dict[str | None, InvalidReason | None] = {None: None, **{reason.value: reason for reason in InvalidReason}}


class AddedJudgment(NamedTuple):
    """A judgment on its way into the store."""

    key: bytes
    judgment: Judgment
    revision: str
    stored_at: datetime


def find_judgments(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, Judgment]:
    """The stored judgments of these keys, marked as cached."""
    found: dict[bytes, Judgment] = {}
    ordered = sorted(keys)  # neighbours in the index lie on the same pages
    for start in range(0, len(ordered), KEYS_PER_QUERY):
        rows = connection.execute(_FIND, {"keys": ordered[start : start + KEYS_PER_QUERY]})
        found.update(_read(rows.all()))
    return found


def insert_judgments(connection: Connection, added: Sequence[AddedJudgment]) -> None:
    """Store judgments; of those with one key the first stays, also against what is stored already."""
    ordered = sorted(added, key=lambda entry: entry.key)  # one order for all processes, so that none waits in a circle
    times = {moment: storable_time(connection, moment) for moment in {entry.stored_at for entry in added}}
    insert_new(connection, judgments, [_row(entry, times[entry.stored_at]) for entry in ordered])


# the order of the columns is that of `_read`; texts come as they are stored, the few escapes are undone there
_FIND = select(
    *(
        type_coerce(column, Text) if isinstance(column.type, AnyText) else column
        for column in (
            judgments.c.key,
            judgments.c.query_id,
            judgments.c.doc_id,
            judgments.c.rating,
            judgments.c.expected_rating,
            judgments.c.explanation,
            judgments.c.invalid_reason,
            judgments.c.raw_reply,
            judgments.c.finish_reason,
            judgments.c.program,
            judgments.c.model,
            judgments.c.mode,
            judgments.c.occurrence,
            judgments.c.prompt_tokens,
            judgments.c.completion_tokens,
            judgments.c.latency_s,
            judgments.c.digit_mass,
            judgments.c.identity,
        )
    )
).where(judgments.c.key.in_(bindparam("keys", expanding=True)))


def _read(rows: Iterable[Any]) -> Iterator[tuple[bytes, Judgment]]:
    for row in rows:
        key, query_id, doc_id, rating, expected, explanation, reason, reply, finish, program, model, mode = row[:12]
        occurrence, prompt_tokens, completion_tokens, latency_s, digit_mass, identity = row[12:]
        if mode not in _MODES or reason not in _REASONS or (rating is None) == (reason is None):
            raise LedgerError(
                f"the judgment of key {key.hex()} is damaged (mode {mode!r}, rating {rating!r}, invalid reason "
                f"{reason!r}); restore the store from a backup, or delete what it holds with 'ledger prune'"
            )
        yield (
            key,
            Judgment(
                str(unescaped(query_id)),
                str(unescaped(doc_id)),
                rating,
                expected,
                unescaped(explanation),
                _REASONS[reason],
                str(unescaped(reply)),
                str(unescaped(finish)),
                str(unescaped(program)),
                str(unescaped(model)),
                _MODES[mode],
                occurrence,
                prompt_tokens,
                completion_tokens,
                latency_s,
                cached=True,
                digit_mass=digit_mass,
                identity=unescaped(identity) or "",
            ),
        )


def _row(entry: AddedJudgment, stored_at: Any) -> tuple[Any, ...]:
    """In the order of the table's columns."""
    judgment = entry.judgment
    return (
        entry.key,
        escaped(judgment.query_id),
        escaped(judgment.doc_id),
        judgment.occurrence,
        judgment.rating,
        judgment.expected_rating,
        escaped(judgment.explanation),
        judgment.invalid_reason and judgment.invalid_reason.value,
        escaped(judgment.raw_reply),
        escaped(judgment.finish_reason),
        escaped(judgment.program),
        escaped(judgment.model),
        escaped(entry.revision),
        judgment.mode.value,
        judgment.prompt_tokens,
        judgment.completion_tokens,
        judgment.latency_s,
        stored_at,
        False,  # is_forgotten
        judgment.digit_mass,
        escaped(judgment.identity) or None,
    )
