"""A ledger as an earlier Serinus left it, with rows in every table."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from ledger.engines import engine_of, is_sqlite

DUMPS = Path(__file__).parent / "schema_6"
Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def make_schema_6(url: str) -> None:
    """Put a ledger of schema 6, the last one before there were revisions, into the empty database at `url`."""
    if is_sqlite(make_url(url)):
        with closing(sqlite3.connect(make_url(url).database or "")) as database:
            database.executescript((DUMPS / "sqlite.sql").read_text())
        return
    with psycopg.connect(url.replace("postgresql+psycopg:", "postgresql:")) as database:
        database.execute((DUMPS / "postgresql.sql").read_bytes())


def rows_of(url: str) -> Rows:
    """Every row of every table, by the table's name, as the database itself has them."""
    engine = engine_of(make_url(url), 5.0)
    found = sa.MetaData()
    with engine.connect() as connection:
        found.reflect(connection)
        rows = {
            table.name: [dict(row) for row in connection.execute(_in_order(table)).mappings()]
            for table in found.sorted_tables
        }
    engine.dispose()
    return rows


def _in_order(table: sa.Table) -> sa.Select[Any]:
    return sa.select(table).order_by(*table.primary_key.columns)
