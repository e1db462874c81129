"""What two versions are compared by, for a rollout's evidence: all of it, or what came behind a moment.

Each query gives what became known `after` a moment and up to another one, both the time of a change as
`ledger.pairing.PairingMark` tells it: rows of an earlier change are settled then. In order; pseudonyms only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from canary.paired_study import Ended
from canary.paired_truth import PairedOutcome, Stratum, paired_outcomes
from ledger.database import Database
from ledger.paired_truths import grouped, pairs_with_truths
from ledger.pairing import PairingMark, mark_of
from ledger.tables import paired_readings, paired_studies, truths


@dataclass(frozen=True, slots=True)
class Versions:
    """Whom to compare: the champion and the candidate of a model."""

    model: str
    champion: str
    candidate: str


@dataclass(frozen=True, slots=True)
class Span:
    """What became known after a moment, or from the beginning with None, and up to another one."""

    after: datetime | None
    up_to: datetime

    def of(self, column: sa.Column[datetime]) -> sa.ColumnElement[bool]:
        behind = sa.true() if self.after is None else column > self.after
        return behind & (column <= self.up_to)

    def has(self, at: datetime) -> bool:
        return (self.after is None or at > self.after) and at <= self.up_to


@dataclass(frozen=True, slots=True)
class PairedStudy:
    """The first study of a patient that both versions were given. The times are those that a version worked at it.

    `overlap` is the Dice coefficient of the two segmentations. What is not known is None.
    """

    at: datetime
    champion_ended: Ended
    candidate_ended: Ended
    stratum: Stratum
    champion_ms: float | None = None
    candidate_ms: float | None = None
    overlap: float | None = None


@dataclass(frozen=True, slots=True)
class MeasuredPair:
    """What both versions measured of a patient; None where a version gave no value."""

    at: datetime
    champion: float | None
    candidate: float | None


class PairedFeed:
    """Reads only."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def mark(self, model: str) -> PairingMark:
        """How the model's pairs and truths stand now."""
        with self._db.read() as connection:
            return mark_of(connection, model)

    def studies(self, versions: Versions, span: Span) -> tuple[PairedStudy, ...]:
        """By (`at`, patient), each patient once."""
        query = sa.select(paired_studies).where(_of(paired_studies, versions) & span.of(paired_studies.c.at))
        with self._db.read() as connection:
            rows = connection.execute(query).mappings().all()
        in_order = sorted(rows, key=lambda row: (row["at"], row["patient"]))  # a collation may change
        return tuple(_study(row) for row in in_order)

    def measured(self, versions: Versions, concept: str, span: Span) -> tuple[MeasuredPair, ...]:
        """By (`at`, the pair's id), each patient once, of one measurement."""
        columns = ("at", "champion_value", "candidate_value")
        query = (
            sa.select(*(paired_readings.c[name] for name in columns))
            .where(_of(paired_readings, versions) & span.of(paired_readings.c.at))
            .where((paired_readings.c.finding == concept) & (paired_readings.c.champion_says == ""))
            .order_by(paired_readings.c.at, paired_readings.c.id)
        )
        with self._db.read() as connection:
            return tuple(MeasuredPair(*row) for row in connection.execute(query))

    def outcomes(self, versions: Versions, span: Span) -> tuple[tuple[str, PairedOutcome], ...]:
        """What is known up to the end of the span about each patient of whom something became known within it.

        So also what was known of these patients before, for whoever takes a patient once. Each with its finding, by
        (`arrived_at`, the truth's number, the pair's id).
        """
        labelled = _of(paired_readings, versions) & (paired_readings.c.champion_says != "")
        if span.after is not None:
            labelled &= paired_readings.c.patient.in_(_patients(versions, span))
        with self._db.read() as connection:
            rows = connection.execute(pairs_with_truths(labelled)).mappings().all()
        found = [
            (finding, outcome)
            for finding, pairs in grouped(rows)
            for outcome in paired_outcomes(pairs, span.up_to)
        ]
        return tuple(sorted(found, key=lambda one: (one[1].arrived_at, one[1].sequence, one[1].pair)))


def _patients(versions: Versions, span: Span) -> sa.CompoundSelect[tuple[str]]:
    """Patients with a new pair, and those of whose pairs a new truth was told."""
    pairs = sa.select(paired_readings.c.patient).where(
        _of(paired_readings, versions) & span.of(paired_readings.c.at)
    )
    of_truth = (
        (paired_readings.c.study_key == truths.c.study_key)
        & (paired_readings.c.model == truths.c.model)
        & (paired_readings.c.finding == truths.c.finding)
        & (paired_readings.c.tenant == truths.c.tenant)
    )
    told = (
        sa.select(paired_readings.c.patient)
        .join(truths, of_truth)
        .where((truths.c.model == versions.model) & span.of(truths.c.at) & _of(paired_readings, versions))
    )
    return sa.union(pairs, told)


def _of(table: sa.Table, versions: Versions) -> sa.ColumnElement[bool]:
    pair = (table.c.champion == versions.champion) & (table.c.candidate == versions.candidate)
    return (table.c.model == versions.model) & pair


_TOLD: Final = ("champion_ms", "candidate_ms", "overlap")


def _study(row: RowMapping) -> PairedStudy:
    return PairedStudy(
        at=row["at"],
        champion_ended=Ended(row["champion_ended"]),
        candidate_ended=Ended(row["candidate_ended"]),
        stratum=Stratum(row["site"], row["modality"], row["scanner"]),
        **{name: row[name] for name in _TOLD},
    )
