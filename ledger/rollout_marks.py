"""Whether anything came by which the evidence of a rollout may change, by model: one query for all models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from ledger.database import Database
from ledger.pairing import SETTLED
from ledger.tables import decisions, exposures, pairing, rollouts, shadow_outcomes


@dataclass(frozen=True, slots=True)
class Mark:
    """Equal marks that are settled stand for equal evidence.

    `newest` is the time of the model's newest decision, draw or outcome of a shadow, `changes` counts those of its
    pairs and truths. `is_settled`: no row up to `newest` is still to appear, nor to be given by the feed.
    """

    newest: datetime | None
    changes: int
    is_settled: bool


class RolloutMarks:
    """Reads only."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def all(self) -> Mapping[str, Mark]:
        """The marks of all models that ever had a rollout."""
        with self._db.read() as connection:
            settled_before = self._db.now(connection) - 2 * SETTLED
            rows = connection.execute(_MARKS).mappings()
            return {row["model"]: _mark(row, settled_before) for row in rows}


_MODELS: Final = sa.select(rollouts.c.model).distinct().subquery()
_TIMES: Final = ("decided", "drawn", "shadowed")


def _newest(table: sa.Table, name: str) -> sa.Label[Any]:
    newest = sa.select(sa.func.max(table.c.at)).where(table.c.model == _MODELS.c.model)
    return newest.scalar_subquery().label(name)


_CHANGES: Final = sa.select(pairing.c.changes).where(pairing.c.model == _MODELS.c.model).scalar_subquery()
_MARKS: Final = sa.select(
    _MODELS.c.model,
    *(
        _newest(table, name)
        for table, name in zip((decisions, exposures, shadow_outcomes), _TIMES, strict=True)
    ),
    sa.func.coalesce(_CHANGES, 0).label("changes"),
)


def _mark(row: RowMapping, settled_before: datetime) -> Mark:
    newest = max((at for name in _TIMES if (at := row[name]) is not None), default=None)
    return Mark(newest, row["changes"], newest is None or newest < settled_before)
