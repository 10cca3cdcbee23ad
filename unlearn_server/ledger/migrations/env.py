"""Runs migrations in the transaction that ``Database.open`` has begun."""

from alembic import context

from unlearn_server.ledger.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
