"""Runs of ground-truth sets: which version reads which set, and what came of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from canary.paired_study import ended_by
from canary.truth_set import Told, reading_id
from core.errors import TruthSetNotFound
from ledger.audit import Audit
from ledger.batches import counts_of
from ledger.database import Database
from ledger.pairing import note_change
from ledger.shadow_records import ShadowTask
from ledger.shadows import enqueue_shadows
from ledger.tables import shadow_outcomes, truth_set_runs, truth_sets
from ledger.truth_set_records import StoredRun, StoredSet


class TruthSetRuns:
    """A run begins, gets its tasks, and keeps its result once every study has ended."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._db = database
        self._audit = audit

    def begin(self, of: StoredSet, version: str, digest: str, *, actor: str) -> tuple[StoredRun, bool]:
        """Begin it, unless this version reads this version of the set now; whether it is new.

        Raises TruthSetNotFound where the set was deleted meanwhile.
        """
        with self._db.write() as connection:
            self._db.serialise(connection, f"truth set {of.name}")
            known = (truth_sets.c.name == of.name) & (truth_sets.c.version == of.version)
            if connection.execute(sa.select(truth_sets.c.name).where(known)).first() is None:
                raise TruthSetNotFound("no ground-truth set has that name")
            its = (truth_set_runs.c.set_version == of.version) & (truth_set_runs.c.version == version)
            open_ones = _OF_SET.where((truth_set_runs.c.name == of.name) & its)
            under_way = _stored(connection, open_ones.where(truth_set_runs.c.ended_at.is_(None)).limit(1))
            if under_way:
                return under_way[0], False
            id = uuid.uuid4().hex
            row = {
                "id": id,
                "name": of.name,
                "set_version": of.version,
                "model": of.model,
                "version": version,
                "digest": digest,
                "at": self._db.now(connection),
                "actor": actor,
                "studies": of.studies,
            }
            connection.execute(sa.insert(truth_set_runs).values(**row))
            detail = {"run": id, "set_version": of.version, "version": version}
            self._audit.append_within(connection, actor, "truth-set.run", of.name, detail)
            (begun,) = _stored(connection, _OF_SET.where(truth_set_runs.c.id == id))
            return begun, True

    def add(self, run: str, tasks: Sequence[tuple[int, str, ShadowTask]]) -> None:
        """Write some tasks, each with its study's number and pseudonym; those that are there are left alone."""
        with self._db.write() as connection:
            now = self._db.now(connection)
            for number, study_key, task in tasks:
                enqueue_shadows(self._db, connection, reading_id(run, number), study_key, [task], now)

    def settle(self, run: str, result: Mapping[str, Any]) -> None:
        """All has ended: keep what came of it. The first result stays."""
        with self._db.write() as connection:
            at = self._db.now(connection)
            its = (truth_set_runs.c.id == run) & truth_set_runs.c.ended_at.is_(None)
            end = sa.update(truth_set_runs).where(its).values(result=dict(result), ended_at=at)
            model = connection.execute(end.returning(truth_set_runs.c.model)).scalar()
            if model is not None:  # what it read may be evidence of a rollout from now on
                note_change(self._db, connection, model, at, rewrites=False)

    def told(self, run: StoredRun) -> Mapping[int, Told]:
        """What came of each study that has ended, by its number."""
        numbers = {reading_id(run.id, number): number for number in range(run.studies)}
        columns = (shadow_outcomes.c.job_id, shadow_outcomes.c.outcome, shadow_outcomes.c.error_code)
        query = sa.select(*columns).where(shadow_outcomes.c.batch == run.id)
        with self._db.read() as connection:
            rows = connection.execute(query).mappings().all()
        return {numbers[row["job_id"]]: _told(row) for row in rows if row["job_id"] in numbers}

    def scores(self, run: StoredRun) -> Mapping[int, Mapping[str, float]]:
        """The probability that the version gave to each finding, by the number of the study."""
        numbers = {reading_id(run.id, number): number for number in range(run.studies)}
        columns = (shadow_outcomes.c.job_id, shadow_outcomes.c.outcome)
        query = sa.select(*columns).where(shadow_outcomes.c.batch == run.id)
        with self._db.read() as connection:
            rows = connection.execute(query).all()
        return {
            numbers[row.job_id]: {
                str(one["code"]): float(one["probability"])
                for one in (row.outcome or {}).get("findings", ())
                if one.get("probability") is not None
            }
            for row in rows
            if row.job_id in numbers
        }

    def of_set(self, name: str, limit: int) -> tuple[StoredRun, ...]:
        """The runs of all versions of a set, newest first."""
        with self._db.read() as connection:
            return _stored(connection, _OF_SET.where(truth_set_runs.c.name == name).limit(limit))

    def open_runs(self, name: str) -> tuple[StoredRun, ...]:
        """Those without a result, newest first."""
        its = (truth_set_runs.c.name == name) & truth_set_runs.c.ended_at.is_(None)
        with self._db.read() as connection:
            return _stored(connection, _OF_SET.where(its))

    def last_begun(self, of: StoredSet) -> Mapping[str, datetime]:
        """When each version of the model last began to read this version of the set."""
        its = (truth_set_runs.c.name == of.name) & (truth_set_runs.c.set_version == of.version)
        columns = (truth_set_runs.c.version, sa.func.max(truth_set_runs.c.at))
        query = sa.select(*columns).where(its).group_by(truth_set_runs.c.version)
        with self._db.read() as connection:
            return {version: at for version, at in connection.execute(query)}


_OF_SET: Final = sa.select(truth_set_runs).order_by(truth_set_runs.c.at.desc(), truth_set_runs.c.id)


def _stored(connection: Connection, query: sa.Select[Any]) -> tuple[StoredRun, ...]:
    rows: Sequence[RowMapping] = connection.execute(query).mappings().all()
    counts = counts_of(connection, [row["id"] for row in rows])
    names = StoredRun.__dataclass_fields__.keys() - {"counts"}
    return tuple(StoredRun(**{name: row[name] for name in names}, counts=counts[row["id"]]) for row in rows)


def _told(row: RowMapping) -> Told:
    """A version's own failure is an answer, and a wrong one; what was not its doing is none."""
    if row["error_code"] is None:
        findings = (row["outcome"] or {}).get("findings", ())
        return Told({str(one["code"]): str(one["presence"]) for one in findings})
    return Told(unread=True) if ended_by(row["error_code"]) is None else Told(failed=True)
