"""Judgments, reflections with the documents that they were shown, folders of runs."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables and their indexes."""
    _judgments()
    _reflections()
    _run_folders()


def _judgments() -> None:
    op.create_table(
        "judgments",
        _id(),
        _required("key", sa.LargeBinary(32)),
        _required("query_id", sa.Text),
        _required("doc_id", sa.Text),
        _required("occurrence", sa.Integer),
        sa.Column("rating", sa.Integer),
        sa.Column("expected_rating", sa.Float(53)),
        sa.Column("explanation", sa.Text),
        sa.Column("invalid_reason", sa.Text),
        _required("raw_reply", sa.Text),
        _required("finish_reason", sa.Text),
        _required("program", sa.Text),
        _required("model", sa.Text),
        _required("revision", sa.Text),
        _required("mode", sa.Text),
        _required("prompt_tokens", sa.BigInteger),
        _required("completion_tokens", sa.BigInteger),
        _required("latency_s", sa.Float(53)),
        _required("stored_at", sa.DateTime(timezone=True)),
        _required("is_forgotten", sa.Boolean),
    )
    op.create_index("judgments_key", "judgments", ["key"], unique=True)
    op.create_index("judgments_doc_id", "judgments", ["doc_id"], postgresql_using="hash")
    op.create_index("judgments_stored_at", "judgments", ["stored_at"])


def _reflections() -> None:
    op.create_table(
        "reflections",
        _id(),
        _required("key", sa.LargeBinary(32)),
        _required("text", sa.Text),
        _required("prompt_tokens", sa.BigInteger),
        _required("completion_tokens", sa.BigInteger),
        _required("model", sa.Text),
        _required("revision", sa.Text),
        _required("stored_at", sa.DateTime(timezone=True)),
    )
    op.create_index("reflections_key", "reflections", ["key"], unique=True)
    op.create_index("reflections_stored_at", "reflections", ["stored_at"])
    op.create_table(
        "reflection_documents",
        _id(),
        _required("key", sa.LargeBinary(32)),
        _required("doc_id", sa.Text),
    )
    op.create_index("reflection_documents_key", "reflection_documents", ["key"])
    op.create_index("reflection_documents_doc_id", "reflection_documents", ["doc_id"], postgresql_using="hash")


def _run_folders() -> None:
    op.create_table(
        "run_folders",
        _id(),
        _required("path_digest", sa.LargeBinary(32)),
        _required("path", sa.Text),
        _required("command", sa.Text),
        _required("recorded_at", sa.DateTime(timezone=True)),
    )
    op.create_index("run_folders_path_digest", "run_folders", ["path_digest"], unique=True)


def _id() -> sa.Column[Any]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)
