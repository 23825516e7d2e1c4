"""What people did in reviews, as events."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table and its indexes."""
    op.create_table(
        "review_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        _required("run", sa.Text),
        _required("query_id", sa.Text),
        _required("doc_id", sa.Text),
        _required("split", sa.Text),
        _required("kind", sa.Text),
        _required("payload", sa.Text),
        _required("author", sa.Text),
        _required("done_at", sa.DateTime(timezone=True)),
        sa.Column("undoes", sa.BigInteger),
    )
    op.create_index("review_events_run", "review_events", ["run"], postgresql_using="hash")
    op.create_index("review_events_doc_id", "review_events", ["doc_id"], postgresql_using="hash")


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)
