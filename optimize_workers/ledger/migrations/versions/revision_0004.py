"""The probability on the scale's digits, of judgments in mode `expected`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; rows that are there have none."""
    op.add_column("judgments", sa.Column("digit_mass", sa.Float(53)))
