"""What Alembic runs for a migration; `ledger/migrate.py` gives it the connection, in a transaction of its own."""

from __future__ import annotations

from alembic import context

from ledger.tables import metadata, revisions

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=revisions.name,
    render_as_batch=True,  # SQLite changes a column by making its table anew
)
context.run_migrations()
