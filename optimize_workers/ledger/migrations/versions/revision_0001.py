"""Openings of test splits; a store may have the table already, from before there were steps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create what is not there."""
    op.create_table(
        "split_openings",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("command", sa.String(200), nullable=False),
        sa.Column("run", sa.String(500), nullable=False),
        if_not_exists=True,
    )
    op.create_index("ix_split_openings_fingerprint", "split_openings", ["fingerprint"], if_not_exists=True)
