"""Models as they were met, the identity of what gave a judgment, and the probability on the scale's digits."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns; create the table and its index. Rows that are there have none of them."""
    op.add_column("judgments", sa.Column("digit_mass", sa.Float(53)))
    op.add_column("judgments", sa.Column("identity", sa.Text))
    op.create_table(
        "model_meetings",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        _required("identity", sa.LargeBinary(32)),
        _required("model", sa.Text),
        _required("scope", sa.Integer),
        sa.Column("address", sa.Text),
        sa.Column("version", sa.Text),
        sa.Column("fingerprint", sa.Text),
        _required("canaries", sa.Text),
        _required("met_at", sa.DateTime(timezone=True)),
    )
    op.create_index("model_meetings_identity", "model_meetings", ["identity"])


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)
