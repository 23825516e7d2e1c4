"""Judgments as rows and back, by key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select

from judge_serve.judging.judgment import AnswerMode, InvalidReason, Judgment
from optimize_workers.ledger.failures import LedgerError
from optimize_workers.ledger.inserting import insert_new
from optimize_workers.ledger.schema import judgments

KEYS_PER_QUERY = 1_000  # bound parameters of one statement
_MODES: dict[str, AnswerMode] = {str(mode): mode for mode in AnswerMode}
_REASONS: dict[str | None, InvalidReason | None] = {None: None, **{str(reason): reason for reason in InvalidReason}}
_FIELDS = (
    "query_id",
    "doc_id",
    "rating",
    "expected_rating",
    "explanation",
    "invalid_reason",
    "raw_reply",
    "finish_reason",
    "program",
    "model",
    "mode",
    "occurrence",
    "prompt_tokens",
    "completion_tokens",
    "latency_s",
)
_FIND = select(judgments.c.key, *(judgments.c[name] for name in _FIELDS)).where(
    judgments.c.key.in_(bindparam("keys", expanding=True))
)


class AddedJudgment(NamedTuple):
    """A judgment on its way into the store."""

    key: bytes
    judgment: Judgment
    revision: str
    stored_at: datetime


def find_judgments(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, Judgment]:
    """The stored judgments of these keys, marked as cached."""
    found: dict[bytes, Judgment] = {}
    for start in range(0, len(keys), KEYS_PER_QUERY):
        rows = connection.execute(_FIND, {"keys": keys[start : start + KEYS_PER_QUERY]})
        found.update(_read(rows))
    return found


def insert_judgments(connection: Connection, added: Sequence[AddedJudgment]) -> None:
    """Store judgments; of those with one key the first stays, also against what is stored already."""
    ordered = sorted(added, key=lambda entry: entry.key)  # one order for all processes, so that none waits in a circle
    insert_new(connection, judgments, [_row(entry) for entry in ordered])


def _read(rows: Any) -> Iterator[tuple[bytes, Judgment]]:
    for row in rows:
        (
            key,
            query_id,
            doc_id,
            rating,
            expected_rating,
            explanation,
            reason,
            raw_reply,
            finish_reason,
            program,
            model,
            mode,
            occurrence,
            prompt_tokens,
            completion_tokens,
            latency_s,
        ) = row
        if mode not in _MODES or reason not in _REASONS or (rating is None) == (reason is None):
            raise LedgerError(
                f"the judgment of key {key.hex()} is damaged (mode {mode!r}, rating {rating!r}, invalid reason "
                f"{reason!r}); restore the store from a backup, or prune it: relevance-judge ledger prune"
            )
        yield (
            key,
            Judgment(
                query_id,
                doc_id,
                rating,
                expected_rating,
                explanation,
                _REASONS[reason],
                raw_reply,
                finish_reason,
                program,
                model,
                _MODES[mode],
                occurrence,
                prompt_tokens,
                completion_tokens,
                latency_s,
                True,
            ),
        )


def _row(entry: AddedJudgment) -> dict[str, Any]:
    judgment = entry.judgment
    reason = judgment.invalid_reason
    return {
        "key": entry.key,
        "query_id": judgment.query_id,
        "doc_id": judgment.doc_id,
        "occurrence": judgment.occurrence,
        "rating": judgment.rating,
        "expected_rating": judgment.expected_rating,
        "explanation": judgment.explanation,
        "invalid_reason": None if reason is None else str(reason),
        "raw_reply": judgment.raw_reply,
        "finish_reason": judgment.finish_reason,
        "program": judgment.program,
        "model": judgment.model,
        "revision": entry.revision,
        "mode": str(judgment.mode),
        "prompt_tokens": judgment.prompt_tokens,
        "completion_tokens": judgment.completion_tokens,
        "latency_s": judgment.latency_s,
        "stored_at": entry.stored_at,
        "is_forgotten": False,
    }
