"""Tables of the ledger as they stand after the last migration, and the column types that make every text storable."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

KEY_BYTES = 32
_NUL = "\x00"
_ESCAPE = "\x10"  # data link escape; before four hex digits it stands for a character that a store refuses
_REFUSED = re.compile("[\x00\x10\ud800-\udfff]")
_ESCAPED = re.compile("\x10([0-9a-f]{4})")


def escaped(text: str | None) -> str | None:
    """The text with the characters that databases refuse (NUL, lone surrogates) written as escapes."""
    if text is None or (text.isascii() and _NUL not in text and _ESCAPE not in text):  # quick for most
        return text
    return _REFUSED.sub(lambda found: f"{_ESCAPE}{ord(found.group()):04x}", text)


def unescaped(text: str | None) -> str | None:
    """The text that `escaped` was given."""
    if text is None or _ESCAPE not in text:
        return text
    return _ESCAPED.sub(lambda found: chr(int(found.group(1), 16)), text)


class AnyText(TypeDecorator[str]):
    """Text of any characters, stored as `escaped` makes it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Escape on the way in."""
        return escaped(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Undo it on the way out."""
        return unescaped(value)


class UtcTime(TypeDecorator[datetime]):
    """A moment, stored in UTC; SQLite keeps no time zone, so it is taken off and put back here."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Into UTC."""
        assert value is None or value.tzinfo is not None, "the ledger takes times with a zone only"
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """In UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()


def _id() -> Column[int]:
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


def _required(name: str, kind: Any) -> Column[Any]:
    return Column(name, kind, nullable=False)


MAX_RUN_CHARS = 500

split_openings = Table(
    "split_openings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("fingerprint", String(64), nullable=False, index=True),
    Column("opened_at", UtcTime, nullable=False),
    Column("command", String(200), nullable=False),
    Column("run", String(MAX_RUN_CHARS), nullable=False),
)

# An integer primary key keeps rows in the order of their arrival; only the small index on `key` is written in places.
# PostgreSQL's ordinary index refuses values over 2,704 bytes, its hash index takes document ids of any length.
judgments = Table(
    "judgments",
    metadata,
    _id(),
    _required("key", LargeBinary(KEY_BYTES)),
    _required("query_id", AnyText),
    _required("doc_id", AnyText),
    _required("occurrence", Integer),
    Column("rating", Integer),
    Column("expected_rating", Float(53)),
    Column("explanation", AnyText),
    Column("invalid_reason", AnyText),
    _required("raw_reply", AnyText),
    _required("finish_reason", AnyText),
    _required("program", AnyText),
    _required("model", AnyText),
    _required("revision", AnyText),
    _required("mode", AnyText),
    _required("prompt_tokens", BigInteger),
    _required("completion_tokens", BigInteger),
    _required("latency_s", Float(53)),
    _required("stored_at", UtcTime),
    _required("is_forgotten", Boolean),
    Column("digit_mass", Float(53)),
    Column("identity", AnyText),  # of what answered; null in rows of version 0.1
    Index("judgments_key", "key", unique=True),
    Index("judgments_doc_id", "doc_id", postgresql_using="hash"),
    Index("judgments_stored_at", "stored_at"),
)

reflections = Table(
    "reflections",
    metadata,
    _id(),
    _required("key", LargeBinary(KEY_BYTES)),
    _required("text", AnyText),
    _required("prompt_tokens", BigInteger),
    _required("completion_tokens", BigInteger),
    _required("model", AnyText),
    _required("revision", AnyText),
    _required("stored_at", UtcTime),
    Index("reflections_key", "key", unique=True),
    Index("reflections_stored_at", "stored_at"),
)

# documents whose text a reflection was shown
reflection_documents = Table(
    "reflection_documents",
    metadata,
    _id(),
    _required("key", LargeBinary(KEY_BYTES)),
    _required("doc_id", AnyText),
    Index("reflection_documents_key", "key"),
    Index("reflection_documents_doc_id", "doc_id", postgresql_using="hash"),
)

# not named `runs`: MLflow has such a table, and both may live in one database
run_folders = Table(
    "run_folders",
    metadata,
    _id(),
    _required("path_digest", LargeBinary(KEY_BYTES)),
    _required("path", AnyText),
    _required("command", AnyText),
    _required("recorded_at", UtcTime),
    Index("run_folders_path_digest", "path_digest", unique=True),
)

# only ever added to: each time that a model was met, with what it answered to the canaries; no text of users
model_meetings = Table(
    "model_meetings",
    metadata,
    _id(),
    _required("identity", LargeBinary(KEY_BYTES)),
    _required("model", AnyText),
    _required("scope", Integer),
    Column("address", AnyText),
    Column("version", AnyText),
    Column("fingerprint", AnyText),
    _required("canaries", AnyText),
    _required("met_at", UtcTime),
    Index("model_meetings_identity", "identity"),
)

# only ever added to; forgetting a document empties payloads
review_events = Table(
    "review_events",
    metadata,
    _id(),
    _required("run", AnyText),
    _required("query_id", AnyText),
    _required("doc_id", AnyText),
    _required("split", AnyText),
    _required("kind", AnyText),
    _required("payload", AnyText),
    _required("author", AnyText),
    _required("done_at", UtcTime),
    Column("undoes", BigInteger),
    Index("review_events_run", "run", postgresql_using="hash"),
    Index("review_events_doc_id", "doc_id", postgresql_using="hash"),
)
