"""Which version read which study, and why: enough to explain it, to compute it again, and to count the shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from canary.assignment import AssignmentReason
from canary.data_plane import Served
from canary.explain import DecisionRow, read_segments
from canary.routing_table import BASELINE, CHAMPION
from ledger.database import Database
from ledger.tables import EPOCH, decisions, exposures, routing_tables

ANSWERED: Final = "answered"
FAILED: Final = "failed"
KEY: Final = ("job_id", "role", "version")
DRAW_ONCE: Final = ("model", "salt", "identity")
INPUTS: Final = ("facts", "table", "table_digest")  # of which older rows have none
_COLUMNS: Final = tuple(field.name for field in fields(DecisionRow))


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision of one job; `study_key` is the study's pseudonym."""

    job_id: str
    study_key: str
    at: datetime
    row: DecisionRow


@dataclass(frozen=True, slots=True)
class AssignedGroup:
    """Studies that one table gave to one arm and version, and when the last of them was assigned."""

    epoch: int
    generation: int
    arm: str
    version: str
    last_assigned_at: datetime
    readings: int


@dataclass(frozen=True, slots=True)
class Exposure:
    """The first draw of an identity under a salt, with the weights in force then, in basis points by arm."""

    identity: str
    salt: str
    arm: str
    version: str
    weight_bp: int
    weights_bp: Mapping[str, int]
    generation: int
    job_id: str
    study_key: str
    at: datetime

    @property
    def draw(self) -> tuple[str, Mapping[str, int]]:
        """What the sample-ratio check takes of it."""
        return self.arm, self.weights_bp


class Decisions:
    """One row per job, role and version; pseudonyms only."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def record(self, job_id: str, study_key: str, rows: Sequence[DecisionRow]) -> None:
        """Write a job's decisions over those that it wrote before."""
        with self._db.write() as connection:
            write_decisions(self._db, connection, job_id, study_key, rows, self._db.now(connection))

    def of_job(self, job_id: str) -> tuple[StoredDecision, ...]:
        """Who was to answer comes first."""
        table = routing_tables.c.document.label("table")
        query = (
            sa.select(decisions, table)
            .outerjoin(routing_tables, routing_tables.c.digest == decisions.c.table_digest)
            .where(decisions.c.job_id == job_id)
            .order_by(_shadows_last(), decisions.c.role.desc(), decisions.c.version)
        )
        with self._db.read() as connection:
            return tuple(_stored(dict(row)) for row in connection.execute(query).mappings())

    def counts(
        self, model: str, since: datetime, generation: int | None = None
    ) -> Mapping[tuple[str, str, str], int]:
        """Identities by (variant, version, role) where the draw sent them.

        Left out are answers by another than the drawn variant, and failures that do not count.
        """
        query = (
            sa.select(
                decisions.c.variant,
                decisions.c.version,
                decisions.c.role,
                sa.func.count(decisions.c.identity.distinct()),
            )
            .where(
                assigned_readings(model, since, generation)
                & (decisions.c.assignment_reason == AssignmentReason.DRAW.value)
                & decisions.c.counts
            )
            .group_by(decisions.c.variant, decisions.c.version, decisions.c.role)
        )
        with self._db.read() as connection:
            groups = connection.execute(query)
            return {(variant, version, role): number for variant, version, role, number in groups}

    def served(self, model: str, since: datetime, generation: int | None = None) -> tuple[Served, ...]:
        """What `verify_data_plane` compares with the table: readings by generation, arm and version."""
        columns = (decisions.c.generation, decisions.c.arm, decisions.c.version)
        query = (
            sa.select(*columns, sa.func.count())
            .where(assigned_readings(model, since, generation))
            .group_by(*columns)
            .order_by(*columns)
        )
        with self._db.read() as connection:
            return tuple(Served(*row) for row in connection.execute(query))

    def assigned_since(self, model: str, since: datetime) -> tuple[AssignedGroup, ...]:
        """What was assigned at or after `since`, by table, arm and version, also by tables that are superseded.

        A group whose last assignment is later than a newer table tells of a router that did not follow.
        """
        columns = (decisions.c.epoch, decisions.c.generation, decisions.c.arm, decisions.c.version)
        query = (
            sa.select(*columns, sa.func.max(decisions.c.assigned_at), sa.func.count())
            .where(_assigned(model) & (decisions.c.assigned_at >= since))
            .group_by(*columns)
            .order_by(*columns)
        )
        with self._db.read() as connection:
            return tuple(AssignedGroup(*row) for row in connection.execute(query))

    def champion_failures(self, model: str, since: datetime) -> tuple[int, int]:
        """How many studies the champion failed since then, and how many it answered."""
        by_champion = (decisions.c.variant == CHAMPION) & decisions.c.counts
        query = (
            sa.select(decisions.c.role, sa.func.count(decisions.c.job_id.distinct()))
            .where((decisions.c.model == model) & (decisions.c.at >= since) & by_champion)
            .where(decisions.c.role.in_((ANSWERED, FAILED)))
            .group_by(decisions.c.role)
        )
        with self._db.read() as connection:
            number = {role: count for role, count in connection.execute(query)}
        return number.get(FAILED, 0), number.get(ANSWERED, 0)

    def exposures(
        self, model: str, since: datetime = EPOCH, *, salt: str | None = None
    ) -> tuple[Exposure, ...]:
        """The exposure log, oldest first: nobody comes twice under one salt, however many studies follow."""
        of_model = (exposures.c.model == model) & (exposures.c.at >= since)
        chosen = of_model if salt is None else of_model & (exposures.c.salt == salt)
        query = sa.select(exposures).where(chosen).order_by(exposures.c.at, exposures.c.identity)
        with self._db.read() as connection:
            return tuple(_exposure(dict(row)) for row in connection.execute(query).mappings())


def write_decisions(
    database: Database,
    connection: Connection,
    job_id: str,
    study_key: str,
    rows: Sequence[DecisionRow],
    now: datetime,
) -> None:
    """Write a job's decisions within a transaction, with the exposure that comes of the draw."""
    if not rows:
        return
    about = {"job_id": job_id, "study_key": study_key, "at": now}
    by_key = {(row.role, row.version): decision_values(row, now) | about for row in rows}
    connection.execute(database.insert_over(decisions, KEY), list(by_key.values()))
    keep_tables(database, connection, rows, now)
    drawn = next((row for row in rows if _is_exposure(row)), None)
    if drawn is not None:
        connection.execute(database.insert_once(exposures, DRAW_ONCE), _exposure_row(drawn) | about)


def decision_values(row: DecisionRow, now: datetime) -> dict[str, Any]:
    """A decision as columns: its table is kept apart."""
    values = asdict(row) | {"assigned_at": row.assigned_at or now}
    del values["table"]
    return values


def keep_tables(
    database: Database, connection: Connection, rows: Sequence[DecisionRow], now: datetime
) -> None:
    """Write the tables that rows were decided by, within a transaction, but for those that are surely there."""
    texts = {row.table_digest: row for row in rows if row.table}
    for digest in texts.keys() - database.kept:
        row = {"digest": digest, "model": texts[digest].model, "document": texts[digest].table, "at": now}
        if connection.execute(database.insert_once(routing_tables, ("digest",)), row).rowcount == 0:
            database.kept.add(digest)  # it was there before this transaction, which may yet be rolled back


def assigned_variant(arm: str) -> str:
    """Who reads for an arm: the champion for the baseline, else the variant of the arm's name."""
    return CHAMPION if arm == BASELINE else arm


def _is_exposure(row: DecisionRow) -> bool:
    """Whether the row is of the variant that the draw chose, and not of a fallback or a shadow."""
    assigned = row.role in (ANSWERED, FAILED) and row.variant == assigned_variant(row.arm)
    return assigned and row.assignment_reason == AssignmentReason.DRAW


def assigned_readings(model: str, since: datetime, generation: int | None) -> sa.ColumnElement[bool]:
    """Readings since then by the variant that was chosen: neither a fallback's nor a shadow's."""
    recent = _assigned(model) & (decisions.c.at >= since)
    return recent if generation is None else recent & (decisions.c.generation == generation)


def _assigned(model: str) -> sa.ColumnElement[bool]:
    chosen = sa.case((decisions.c.arm == BASELINE, CHAMPION), else_=decisions.c.arm)
    return (
        (decisions.c.model == model)
        & decisions.c.role.in_((ANSWERED, FAILED))
        & (decisions.c.variant == chosen)
    )


def _shadows_last() -> sa.Case[int]:
    return sa.case((decisions.c.role.in_((ANSWERED, FAILED)), 0), else_=1)


def decision_of(row: Mapping[str, Any] | RowMapping) -> DecisionRow:
    """A row of `decisions` alone: its table is named by its digest only."""
    return _stored({**row, "table": ""}).row


def _stored(row: Mapping[str, Any]) -> StoredDecision:
    known = {name: row[name] for name in _COLUMNS}
    decision = DecisionRow(**known | {name: row[name] or "" for name in INPUTS})
    return StoredDecision(row["job_id"], row["study_key"], row["at"], decision)


def _exposure_row(row: DecisionRow) -> dict[str, Any]:
    names = (*DRAW_ONCE, "generation", "arm", "version", "weight_bp", "segments")
    return {name: getattr(row, name) for name in names} | {"failed": row.role == FAILED and row.counts}


def _exposure(row: Mapping[str, Any]) -> Exposure:
    names = (field.name for field in fields(Exposure) if field.name != "weights_bp")
    return Exposure(**{name: row[name] for name in names}, weights_bp=_weights(row["segments"]))


def _weights(segments: str) -> dict[str, int]:
    """The width by arm."""
    return {segment.arm: segment.stop - segment.start for segment in read_segments(segments)}
