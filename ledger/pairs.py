"""Pairs of readings: the first study of each patient that two versions read, and whether it is to be adjudicated.

They are made from the outcomes of shadows and of the safety net when somebody asks for them, and not while a study is
read: no job waits for that. What is written is never changed by a later study of the patient, nor by another share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from canary.adjudication import NO_RESULT, PairKey, pair_id, select
from canary.assignment import StudyFacts
from canary.decision_inputs import read_facts
from canary.disagreement import FindingStatus
from core.errors import (
    DeadlineExceeded,
    InputOutOfDistribution,
    ModelError,
    OutsideIntendedUse,
    PoisonStudy,
    Unforeseen,
    WorkerLost,
)
from ledger.database import Database
from ledger.pairing import note_change, note_taken, taken_up_to
from ledger.shadow_records import RECALL, SAFETY_NET
from ledger.tables import decisions, jobs, paired_readings, shadow_outcomes
from ledger.truth_records import PairCounts

BATCH_SIZE: Final = 200  # a transaction of many rows would keep callers waiting
BATCHES: Final = 10
OVERLAP: Final = timedelta(minutes=1)  # an outcome may be seen only after a later one was
UNEXPECTED: Final = "unexpected-error"
NO_ANSWER: Final = frozenset(  # errors by which a version has no result; others are not the version's
    {
        *(ModelError.code, DeadlineExceeded.code, WorkerLost.code, PoisonStudy.code, Unforeseen.code),
        *(InputOutOfDistribution.code, OutsideIntendedUse.code, UNEXPECTED),
    }
)
LABEL_LENGTH: Final = 16
FINDING_LENGTH: Final = 96
ORDER: Final = tuple(shadow_outcomes.c[name] for name in ("at", "job_id", "app", "role"))


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
        """What the workload is forecast from: one tenant's pairs that were read since then, or all with None."""
        labelled = (paired_readings.c.model == model) & (paired_readings.c.champion_says != "")
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
        """Outcomes behind `after`, or behind what the last call took, oldest first."""
        is_evidence = shadow_outcomes.c.role != RECALL  # a recall comes after the verdict
        query = _OUTCOMES.where((shadow_outcomes.c.model == model) & is_evidence).limit(BATCH_SIZE)
        if after is None:
            last = taken_up_to(connection, model)
            query = query if last is None else query.where(shadow_outcomes.c.at >= last - OVERLAP)
        else:
            query = query.where((ORDER[0] >= after[0]) & (sa.tuple_(*ORDER) > sa.tuple_(*_typed(after))))
        return connection.execute(query).mappings().all()

    def _write(self, model: str, rows: Sequence[RowMapping], concordant_share: float) -> int:
        """Write the pairs of some outcomes, and how far they go."""
        made: dict[str, dict[str, Any]] = {}
        for row in rows:
            for values in _pairs_of(row, concordant_share):
                made.setdefault(values["id"], values)  # the first study of a patient counts
        with self._db.read() as connection:  # most often all is known, and no writer waits for that
            if taken_up_to(connection, model) == rows[-1]["at"] and not _unknown(connection, made):
                return 0
        with self._db.write() as connection:
            self._db.serialise(connection, f"pairs {model}")
            at = self._db.now(connection)
            new = _unknown(connection, made)
            for values in new:
                values |= {"at": at, "open_since": at if values["is_selected"] else None, "answered_at": None}
                connection.execute(sa.insert(paired_readings).values(**values))
            note_taken(self._db, connection, model, rows[-1]["at"])
            if new:
                note_change(self._db, connection, model)
        return len(new)


def _unknown(connection: Connection, made: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of which the patient is not there yet."""
    same = sa.select(paired_readings.c.id).where(paired_readings.c.id.in_(made.keys()))
    known = set(connection.execute(same).scalars())
    return [values for id, values in made.items() if id not in known]


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


def _pairs_of(row: RowMapping, concordant_share: float) -> Iterator[dict[str, Any]]:
    """The pairs of one outcome, one for each finding and measurement that either version speaks of."""
    told, has_failed = row["delivered"], row["error_code"] is not None
    if row["tenant"] is None or (has_failed and row["error_code"] not in NO_ANSWER):
        return
    sides = (
        _Side(str(told.get("version", "")), told, False),
        _Side(row["version"], row["outcome"], has_failed),
    )
    champion, candidate = sides[::-1] if row["role"] == SAFETY_NET else sides
    if champion.version in ("", candidate.version):
        return
    about = _about(row)
    for finding in sorted(champion.labels.keys() | candidate.labels.keys()):
        key = PairKey(row["model"], finding, champion.version, candidate.version, about["patient"])
        says = champion.says(finding), candidate.says(finding)
        selection = select(key, *says, concordant_share)
        meaning = champion.meanings.get(finding) or candidate.meanings.get(finding) or ""
        yield {
            **about,
            **_named(key, meaning),
            **dict(zip(("champion_says", "candidate_says"), says, strict=True)),
            "is_discordant": selection.is_discordant,
            "is_selected": selection.is_selected,
            "inclusion_probability": selection.inclusion_probability,
        }
    for concept in sorted(champion.values.keys() | candidate.values.keys()):
        key = PairKey(row["model"], concept, champion.version, candidate.version, about["patient"])
        values = {
            "champion_value": champion.values.get(concept),
            "candidate_value": candidate.values.get(concept),
        }
        yield {**about, **_named(key, ""), **_NOT_ASKED, **values}


_NOT_ASKED: Final = {  # a measurement is told from outside the queue, whatever the versions say
    "champion_says": "",
    "candidate_says": "",
    "is_discordant": False,
    "is_selected": False,
    "inclusion_probability": 1.0,
}


class _Side:
    """What one version said of a study: labels and values by the concept's key."""

    def __init__(self, version: str, said: Mapping[str, Any] | None, has_failed: bool) -> None:
        self.version, self._has_failed, said = version, has_failed, said or {}
        findings = said.get("findings", ())
        self.labels = {_key(f["code"]): str(f["presence"])[:LABEL_LENGTH] for f in findings}
        self.meanings = {_key(f["code"]): str(f.get("meaning", "")) for f in findings}
        self.values = {_key(concept): float(value) for concept, value in said.get("measurements", ())}

    def says(self, finding: str) -> str:
        if self._has_failed:
            return NO_RESULT
        return self.labels.get(finding, FindingStatus.NOT_REPORTED.value)


def _key(code: object) -> str:
    """A concept's key, as long as its column: one that is longer must not hold up all other pairs."""
    return str(code)[:FINDING_LENGTH]


def _about(row: RowMapping) -> dict[str, Any]:
    """Whose study it is, and where its images came from; of an older row as much as it keeps."""
    facts = _facts(row)
    kind, _, value = row["identity"].partition(":")
    by_identity = value if kind == "patient" else row["study_key"]
    return {
        "patient": facts.patient_key or by_identity,
        "study_key": row["study_key"],
        "job_id": row["job_id"],
        "seen_at": row["at"],
        "tenant": row["tenant"],
        "site": facts.site[:64],
        "modality": facts.modality[:64],
        "scanner": facts.scanner,
        "champion_value": None,
        "candidate_value": None,
    }


def _facts(row: RowMapping) -> StudyFacts:
    try:
        return read_facts(row["facts"]) if row["facts"] else StudyFacts(row["study_key"] or "-")
    except ValueError:
        return StudyFacts(row["study_key"] or "-")


def _named(key: PairKey, meaning: str) -> dict[str, Any]:
    names = {"model": key.model, "finding": key.finding, "meaning": meaning[:64]}
    return {**names, "id": pair_id(key), "champion": key.champion, "candidate": key.candidate}
