"""Pairs of readings: the first study of each patient that two versions read, and whether it is to be adjudicated.

They are made from the outcomes of shadows and of the safety net when somebody asks for them, and not while a study is
read: no job waits for that. What is written is never changed by a later study of the patient, nor by another share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from ledger.database import Database
from ledger.pair_rows import pair_rows
from ledger.pairing import SETTLED, note_change, note_taken, taken_up_to
from ledger.shadow_records import LIVE, RECALL
from ledger.tables import decisions, jobs, paired_readings, paired_studies, shadow_outcomes
from ledger.truth_records import PairCounts

BATCH_SIZE: Final = 200  # a transaction of many rows would keep callers waiting
BATCHES: Final = 10
ORDER: Final = tuple(shadow_outcomes.c[name] for name in ("at", "job_id", "app", "role"))
OF_STUDY: Final = tuple(paired_studies.c[name] for name in ("model", "champion", "candidate", "patient"))


class Pairs:
    """Takes pairs from the outcomes of shadows, each patient once for a finding of two versions."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def collect(self, model: str, concordant_share: float) -> int:
        """Write the pairs that came since the last call, some thousands of outcomes at most; returns their number."""
        after, added = None, 0
        for _ in range(BATCHES):
            with self._db.read() as connection:
                rows = self._outcomes(connection, model, after)
            if not rows:
                break
            added += self._write(model, rows, concordant_share)
            after = tuple(rows[-1][column.name] for column in ORDER)
            if len(rows) < BATCH_SIZE:
                break
        return added

    def counts(self, model: str, since: datetime, *, tenant: str | None) -> PairCounts:
        """What the workload is forecast from: one tenant's pairs that were read since then, or all with None.

        Without those of replays, of which no more come tomorrow.
        """
        labelled = (paired_readings.c.model == model) & (paired_readings.c.champion_says != "")
        labelled &= paired_readings.c.role.is_(None) | paired_readings.c.role.in_(LIVE)
        own = sa.true() if tenant is None else paired_readings.c.tenant == tenant
        number = sa.func.count()
        differing = sa.func.coalesce(sa.func.sum(sa.cast(paired_readings.c.is_discordant, sa.Integer)), 0)
        recent = labelled & own & (paired_readings.c.seen_at >= since)
        with self._db.read() as connection:
            compared, discordant, first = connection.execute(
                sa.select(number, differing, sa.func.min(paired_readings.c.seen_at)).where(recent)
            ).one()
        return PairCounts(compared, discordant, first)

    def _outcomes(
        self, connection: Connection, model: str, after: tuple[Any, ...] | None
    ) -> Sequence[RowMapping]:
        """Outcomes behind `after`, or behind what the last call took and is settled, oldest first."""
        is_evidence = shadow_outcomes.c.role != RECALL  # a recall comes after the verdict
        query = _OUTCOMES.where((shadow_outcomes.c.model == model) & is_evidence).limit(BATCH_SIZE)
        if after is None:
            last = taken_up_to(connection, model)
            query = query if last is None else query.where(shadow_outcomes.c.at >= last - SETTLED)
        else:
            query = query.where((ORDER[0] >= after[0]) & (sa.tuple_(*ORDER) > sa.tuple_(*_typed(after))))
        return connection.execute(query).mappings().all()

    def _write(self, model: str, outcomes: Sequence[RowMapping], concordant_share: float) -> int:
        """Write the pairs of some outcomes, and how far they go; returns the number of readings."""
        made, last = _New.of(outcomes, concordant_share), outcomes[-1]["at"]
        with self._db.read() as connection:  # most often all is known, and no writer waits for that
            if taken_up_to(connection, model) == last and not made.without_known(connection):
                return 0
        with self._db.write() as connection:
            self._db.serialise(connection, f"pairs {model}")
            at, new = self._db.now(connection), made.without_known(connection)
            new.write(connection, at)
            note_taken(self._db, connection, model, last)
            if new:
                note_change(self._db, connection, model, at, rewrites=False)
        return len(new.readings)


@dataclass(slots=True)
class _New:
    """Rows of pairs by their key: the first study of a patient counts."""

    studies: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)
    readings: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, outcomes: Sequence[RowMapping], concordant_share: float) -> _New:
        new = cls()
        for outcome in outcomes:
            rows = pair_rows(outcome, concordant_share)
            if rows is None:
                continue
            new.studies.setdefault(tuple(rows.study[column.name] for column in OF_STUDY), rows.study)
            for reading in rows.readings:
                new.readings.setdefault(reading["id"], reading)
        return new

    def without_known(self, connection: Connection) -> _New:
        """Those of which the patient is not there yet."""
        same_study = sa.select(*OF_STUDY).where(sa.tuple_(*OF_STUDY).in_(list(self.studies)))
        same_reading = sa.select(paired_readings.c.id).where(paired_readings.c.id.in_(self.readings.keys()))
        studies = {tuple(row) for row in connection.execute(same_study)} if self.studies else set()
        readings = set(connection.execute(same_reading).scalars())
        return _New(
            {key: values for key, values in self.studies.items() if key not in studies},
            {key: values for key, values in self.readings.items() if key not in readings},
        )

    def __bool__(self) -> bool:
        return bool(self.studies or self.readings)

    def write(self, connection: Connection, at: datetime) -> None:
        for study in self.studies.values():
            connection.execute(sa.insert(paired_studies).values(**study, at=at))
        for reading in self.readings.values():
            asked = {"open_since": at if reading["is_selected"] else None, "answered_at": None}
            connection.execute(sa.insert(paired_readings).values(**reading, **asked, at=at))


_NAMES: Final = ("job_id", "app", "role", "model", "version", "study_key", "identity", "delivered", "outcome")
_OUTCOMES: Final = (
    sa.select(
        *(shadow_outcomes.c[name] for name in (*_NAMES, "error_code", "at")),
        decisions.c.facts,
        jobs.c.tenant,
    )
    .outerjoin(
        decisions,
        (decisions.c.job_id == shadow_outcomes.c.job_id)
        & (decisions.c.role == shadow_outcomes.c.role)
        & (decisions.c.version == shadow_outcomes.c.version),
    )
    .outerjoin(jobs, jobs.c.id == shadow_outcomes.c.job_id)
    .order_by(*ORDER)
)


def _typed(after: tuple[Any, ...]) -> list[sa.ColumnElement[Any]]:
    return [sa.literal(value, column.type) for value, column in zip(after, ORDER, strict=True)]
