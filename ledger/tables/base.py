"""The metadata of all tables, and how a time is kept. Every index of a table is there for one query."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

metadata = sa.MetaData()
REVISION = "0017"  # the newest in ledger/migrations/versions, which makes the tables as they stand here
SCHEMA_VERSION = 7  # stays: it keeps away a Serinus that reads `schema_version` and knows of no revisions
RESULT_VERSION = 1  # of the JSON that `jobs.result` holds

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def microseconds(at: datetime) -> int:
    """Whole microseconds since the epoch; `timestamp()` is a float and rounds."""
    return (at - EPOCH) // MICROSECOND


class UtcTime(TypeDecorator[datetime]):
    """A time as microseconds since the epoch: exact, sortable, the same in SQLite and PostgreSQL."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        return None if value is None else EPOCH + value * MICROSECOND


def unindexed(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """A column for a condition that no index shall serve: without statistics SQLite may take one that grows."""
    return sa.func.coalesce(column, column)


schema = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, primary_key=True))

revisions = sa.Table(  # one row, kept by Alembic; apart from the others, as Alembic makes it by itself
    "ledger_revision",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="ledger_revision_pkc"),
)
