"""Which job has a reading: a study's input by one version, under the rules of then. A key has one job at a time.

So two jobs for the same study at once make one reading, and one that comes later gets the result of the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from canary.same_reading import OtherReader, Turn, turn_of
from ledger.database import Database
from ledger.records import FAILURE_SR, LeaseLost
from ledger.state import HAS_RESULT, JobState
from ledger.tables import RESULT_VERSION, deliveries, jobs, readings

DEAD: Final = "dead"


@dataclass(frozen=True, slots=True)
class TakenTurn:
    """What a job is to do. For `SAME` the job that has read the study, its result, and whether another tenant
    asked for it.
    """

    turn: Turn
    job_id: str = ""
    result: Mapping[str, Any] = field(default_factory=dict, repr=False)
    is_foreign: bool = False


class Readings:
    """Gives each reading to one job at a time."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def take_turn(self, token: str, key: str) -> TakenTurn:
        """Take the reading `key` for the job under `token`, unless another job has read it or reads it now.

        The job lets go of any other reading that it had, so that no two jobs wait for each other. Raises LeaseLost.
        """
        with self._db.write_unsynced() as connection:
            job = self._mine(connection, token)
            self._db.serialise(connection, key)
            connection.execute(_LET_GO, {"this_job": job["id"], "this_key": key})
            other = connection.execute(_OTHER, {"this_job": job["id"], "this_key": key}).mappings().first()
            reader = None if other is None else self._reader(connection, other)
            turn = turn_of(_of_a_result(job), reader, forced=job["force"])
            if turn is Turn.READ:
                belong(self._db, connection, key, job["id"])
            if other is None or turn is not Turn.SAME:
                return TakenTurn(turn)
            return TakenTurn(turn, other["id"], other["result"], other["tenant"] != job["tenant"])

    def _mine(self, connection: Connection, token: str) -> RowMapping:
        row = connection.execute(_MINE, {"this_token": token}).mappings().first()
        if row is None:
            raise LeaseLost("the job is no longer this worker's")
        return row

    def _reader(self, connection: Connection, other: RowMapping) -> OtherReader:
        has_result = other["state"] in HAS_RESULT and other["result_version"] == RESULT_VERSION
        return OtherReader(
            outputs=_of_a_result(other),
            has_result=has_result,
            is_reading=_is_reading(other, self._db.now(connection)),
            undelivered=has_result
            and connection.execute(_DEAD, {"this_job": other["id"]}).first() is not None,
        )


def belong(database: Database, connection: Connection, key: str, job_id: str) -> None:
    """From now on the reading is this job's, within a transaction."""
    connection.execute(database.insert_over(readings, ("key",)), {"key": key, "job_id": job_id})


def _of_a_result(job: RowMapping) -> frozenset[str]:
    """What the job wants of a result: the SR of a failure is part of none."""
    return frozenset(job["outputs"]) - {FAILURE_SR}


def _is_reading(job: RowMapping, now: datetime) -> bool:
    return job["state"] == JobState.RUNNING and job["lease_until"] is not None and job["lease_until"] > now


_MINE: Final = sa.select(jobs.c.id, jobs.c.tenant, jobs.c.outputs, jobs.c.force).where(
    (jobs.c.token == sa.bindparam("this_token")) & (jobs.c.state == JobState.RUNNING)
)
_LET_GO: Final = sa.delete(readings).where(
    (readings.c.job_id == sa.bindparam("this_job")) & (readings.c.key != sa.bindparam("this_key"))
)
_OTHER: Final = (
    sa.select(
        jobs.c.id,
        jobs.c.tenant,
        jobs.c.state,
        jobs.c.lease_until,
        jobs.c.outputs,
        jobs.c.result,
        jobs.c.result_version,
    )
    .join(readings, readings.c.job_id == jobs.c.id)
    .where((readings.c.key == sa.bindparam("this_key")) & (jobs.c.id != sa.bindparam("this_job")))
)
_DEAD: Final = (
    sa.select(deliveries.c.id)
    .where((deliveries.c.job_id == sa.bindparam("this_job")) & (deliveries.c.state == DEAD))
    .limit(1)
)
