"""Alembic's entry: runs the steps on the connection of `migrating`, within its transaction."""

from alembic import context

from optimize_workers.ledger.migrating import VERSION_TABLE
from optimize_workers.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE
)
with context.begin_transaction():
    context.run_migrations()
