"""What a version has answered, newest first: the studies that another version may read again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.study import StudyRef
from ledger.database import Database
from ledger.decisions import ANSWERED, decision_of
from ledger.pair_rows import patient_of
from ledger.replay_records import AnsweredReading
from ledger.state import HAS_RESULT
from ledger.tables import RESULT_VERSION, decisions, jobs, paired_readings, shadow_tasks

BATCH_SIZE: Final = 200
DUE: Final = "due"


class PastReadings:
    """Reads only. As far back as jobs are kept, since these alone say where a study lies."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def answered(
        self, model: str, version: str, since: datetime | None, until: datetime
    ) -> Iterator[AnsweredReading]:
        """The studies that the version answered up to a moment, newest first, in short transactions.

        Without those that another job's reading answered, and those of which nobody knows where they lie.
        """
        of_version = (decisions.c.model == model) & (decisions.c.version == version)
        query = _ANSWERED.where(of_version & (decisions.c.at <= until))
        if since is not None:
            query = query.where(decisions.c.at >= since)
        after: RowMapping | None = None
        while True:
            with self._db.read() as connection:
                rows = connection.execute(_behind(query, after)).mappings().all()
            yield from map(_reading, rows)
            if len(rows) < BATCH_SIZE:
                return
            after = rows[-1]

    def results(self, job_ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """What callers were told of the studies of these jobs."""
        query = sa.select(jobs.c.id, jobs.c.result).where(jobs.c.id.in_(job_ids))
        with self._db.read() as connection:
            return {id: result for id, result in connection.execute(query) if result is not None}

    def unread(
        self, readings: Sequence[AnsweredReading], champion: str, candidate: str, model: str
    ) -> tuple[AnsweredReading, ...]:
        """Those of which the candidate was not given the study, or one of the patient beside the champion.

        A patient counts once, by the first study that both were given.
        """
        with self._db.read() as connection:
            patients = _paired(connection, model, champion, candidate) | _pending(
                connection, model, candidate
            )
            given: set[str] = set()
            for start in range(0, len(readings), BATCH_SIZE):
                some = [one.job_id for one in readings[start : start + BATCH_SIZE]]
                given |= _given(connection, some, candidate)
        return tuple(one for one in readings if one.patient not in patients and one.job_id not in given)


_ANSWERED: Final = (
    sa.select(
        decisions,
        *(jobs.c[name] for name in ("source", "study_uid", "series_uids", "inputs")),
    )
    .join(jobs, jobs.c.id == decisions.c.job_id)
    .where((decisions.c.role == ANSWERED) & jobs.c.same_as.is_(None))
    .where(jobs.c.state.in_(sorted(HAS_RESULT)) & (jobs.c.result_version == RESULT_VERSION))
    .where((jobs.c.study_uid != "") & (jobs.c.source != ""))
    .order_by(decisions.c.at.desc(), decisions.c.job_id.desc())
    .limit(BATCH_SIZE)
)


def _behind(query: sa.Select[Any], after: RowMapping | None) -> sa.Select[Any]:
    if after is None:
        return query
    at, job = decisions.c.at, decisions.c.job_id
    earlier = (at < after["at"]) | (job < after["job_id"])
    return query.where((at <= after["at"]) & earlier)


def _reading(row: RowMapping) -> AnsweredReading:
    return AnsweredReading(
        job_id=row["job_id"],
        at=row["at"],
        study_key=row["study_key"],
        patient=patient_of(row),
        study=StudyRef(row["source"], row["study_uid"], tuple(row["series_uids"]), tuple(row["inputs"])),
        decision=decision_of(row),
    )


def _paired(connection: Connection, model: str, champion: str, candidate: str) -> set[str]:
    pair = (paired_readings.c.champion == champion) & (paired_readings.c.candidate == candidate)
    query = sa.select(paired_readings.c.patient).distinct().where((paired_readings.c.model == model) & pair)
    return set(connection.execute(query).scalars())


def _pending(connection: Connection, model: str, version: str) -> set[str]:
    """The patients of whom the version has a study still to read."""
    columns = (shadow_tasks.c.study_key, shadow_tasks.c.decision)
    of_version = (shadow_tasks.c.model == model) & (shadow_tasks.c.version == version)
    rows = connection.execute(sa.select(*columns).where((shadow_tasks.c.state == DUE) & of_version))
    return {patient_of({**decision, "study_key": study_key}) for study_key, decision in rows}


def _given(connection: Connection, job_ids: Collection[str], version: str) -> set[str]:
    """The jobs whose study the version was given, as whatever, and whatever came of it."""
    query = sa.select(decisions.c.job_id).where(decisions.c.job_id.in_(job_ids))
    return set(connection.execute(query.where(decisions.c.version == version)).scalars())
