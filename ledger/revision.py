"""Which revision of the schema a database has. An empty one is made at the newest; an older one is not touched here.

Every process opens a ledger, so this is one or two queries, and Alembic is not imported: `ledger/migrate.py` does.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ledger.tables import REVISION, SCHEMA_VERSION, metadata, revisions, schema

SCHEMA: Final = "schema"  # what one process at a time makes or migrates: see `engines.serialise`
BEFORE_REVISIONS: Final = "schema 6"  # the last one that had a number, and no revision


class WrongSchema(RuntimeError):
    """The database was made by another version of Serinus."""


def revision_of(connection: Connection) -> str | None:
    """The revision of the database's schema, `schema N` when it is from before there were any, None when it is empty.

    Raises WrongSchema when the table of the revision says nothing.
    """
    tables = sa.inspect(connection)
    if tables.has_table(revisions.name):
        revision: str | None = connection.execute(sa.select(revisions.c.version_num)).scalar()
        if revision is None:
            raise WrongSchema("the ledger does not say which revision it has")
        return revision
    if not tables.has_table(schema.name):
        return None
    number = connection.execute(sa.select(schema.c.version)).scalar()
    return None if number is None else f"schema {number}"


def make_schema_once(connection: Connection) -> None:
    """Make every table as it is today, without going through the revisions, unless somebody did meanwhile."""
    if revision_of(connection) is not None:
        return
    metadata.create_all(connection)
    revisions.create(connection)
    connection.execute(sa.insert(schema).values(version=SCHEMA_VERSION))
    connection.execute(sa.insert(revisions).values(version_num=REVISION))


def require_current(connection: Connection) -> None:
    """Raises WrongSchema, which says what to do, unless the database has our revision."""
    found = revision_of(connection)
    if found is None:
        raise WrongSchema("the ledger is empty")
    if require_known(found) != REVISION:
        raise WrongSchema(
            f"the ledger has {_named(found)}, this Serinus needs {REVISION}: run `serinus migrate`"
        )


def require_known(found: str) -> str:
    """The revision itself, if ours can be reached from it. Raises WrongSchema: it is too old, or newer than ours."""
    if found == BEFORE_REVISIONS or (found.isdigit() and found <= REVISION):
        return found
    if found.isdigit():
        raise WrongSchema(
            f"the ledger has {_named(found)}, of a newer Serinus; this one knows {REVISION} at most"
        )
    raise WrongSchema(
        f"the ledger has {found}, which cannot be migrated; the oldest that can is {BEFORE_REVISIONS}"
    )


def _named(found: str) -> str:
    return f"revision {found}" if found.isdigit() else found
