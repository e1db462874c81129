"""Tasks that were asked for together, by a replay or a run of a ground-truth set: how they stand, and their end."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ledger.database import Database
from ledger.replay_records import BatchCounts
from ledger.tables import decisions, shadow_outcomes, shadow_tasks

DUE: Final = "due"


def counts_of(connection: Connection, batches: Collection[str]) -> Mapping[str, BatchCounts]:
    """How the tasks of each batch stand. What has ended is counted for as long as evidence is kept."""
    of_them = shadow_tasks.c.batch.in_(batches) & (shadow_tasks.c.state == DUE)
    pending = sa.select(shadow_tasks.c.batch, sa.func.count()).where(of_them).group_by(shadow_tasks.c.batch)
    columns = (shadow_outcomes.c.batch, shadow_outcomes.c.error_code)
    ended = sa.select(*columns, sa.func.count()).where(shadow_outcomes.c.batch.in_(batches))
    waiting = {batch: number for batch, number in connection.execute(pending)}
    by_end: dict[str, dict[str | None, int]] = {}
    for batch, code, number in connection.execute(ended.group_by(*columns)):
        by_end.setdefault(batch, {})[code] = number
    return {
        batch: BatchCounts(
            waiting.get(batch, 0),
            by_end.get(batch, {}).get(None, 0),
            {code: number for code, number in sorted(_failed(by_end.get(batch, {})))},
        )
        for batch in batches
    }


def number_of(connection: Connection, batch: str) -> int:
    """How many tasks the batch has, the ended among them."""
    of_it = sa.select(sa.func.count()).select_from(shadow_tasks).where(shadow_tasks.c.batch == batch)
    return int(connection.execute(of_it).scalar_one())


def take_back(database: Database, connection: Connection, batch: str, limit: int) -> int:
    """Delete some tasks that nobody has tried yet, with what says that they are due; returns their number."""
    untouched = (shadow_tasks.c.state == DUE) & (shadow_tasks.c.attempt == 0) & (shadow_tasks.c.losses == 0)
    query = sa.select(shadow_tasks.c.id, *_of_decision(shadow_tasks))
    query = query.where((shadow_tasks.c.batch == batch) & untouched).limit(limit)
    rows = connection.execute(database.held(query)).all()
    if rows:
        these = shadow_tasks.c.id.in_([row[0] for row in rows])
        connection.execute(sa.delete(shadow_tasks).where(these))
        theirs = sa.tuple_(*_of_decision(decisions)).in_([tuple(row[1:]) for row in rows])
        connection.execute(sa.delete(decisions).where(theirs & (decisions.c.outcome == DUE)))
    return len(rows)


def _of_decision(table: sa.Table) -> tuple[sa.Column[Any], ...]:
    return tuple(table.c[name] for name in ("job_id", "role", "version"))


def _failed(by_end: Mapping[str | None, int]) -> list[tuple[str, int]]:
    return [(code, number) for code, number in by_end.items() if code is not None]
