"""Alembic's entry: runs the steps on the connection of `upgrade`, within its transaction."""

from alembic import context

from optimize_workers.ledger.schema import metadata
from optimize_workers.ledger.upgrade import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE
)
with context.begin_transaction():
    context.run_migrations()
