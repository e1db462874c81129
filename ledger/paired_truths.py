"""What evidence takes: paired readings beside their truths, in the order of `canary.paired_truth`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from canary.paired_truth import (
    MeasuredOutcome,
    PairedOutcome,
    PairedReading,
    Stratum,
    measured_outcomes,
    paired_outcomes,
)
from canary.truth import Truth
from ledger.database import Database
from ledger.tables import paired_readings, pairing, truths
from ledger.truths import truth_of

_PAIR: Final = (
    *(
        "id",
        "patient",
        "study_key",
        "is_selected",
        "inclusion_probability",
        "champion_says",
        "candidate_says",
    ),
    *("champion_value", "candidate_value", "champion_score", "candidate_score"),
)
_TRUTH: Final = ("source", "read_at", "at", "sequence", "label", "value", "withdrawn_at", "pair_id")


PairWithTruths = tuple[PairedReading, tuple[Truth, ...]]


class PairedTruths:
    """Reads the pairs of two versions with all that was told of them: a truth counts for its own tenant's studies."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def outcomes(
        self, model: str, champion: str, candidate: str, finding: str, as_of: datetime | None = None
    ) -> tuple[PairedOutcome, ...]:
        """Who was right about a finding, in order of arrival, each patient once."""
        return paired_outcomes(self._pairs(model, champion, candidate, finding), as_of)

    def measured(
        self, model: str, champion: str, candidate: str, concept: str, as_of: datetime | None = None
    ) -> tuple[MeasuredOutcome, ...]:
        """How far measured values lie from the true ones, in order of arrival, each patient once."""
        return measured_outcomes(self._pairs(model, champion, candidate, concept), as_of)

    def changes(self) -> Mapping[str, int]:
        """By model, how often its pairs or truths have changed: while the number stays, so do all outcomes.

        One small query for all models, for a loop that looks again and again.
        """
        with self._db.read() as connection:
            return {model: number for model, number in connection.execute(_CHANGES)}

    def findings(self, model: str, champion: str, candidate: str) -> tuple[str, ...]:
        """What both versions were compared in: findings and measurements, by the concept's key."""
        of_pair = _of_versions(model, champion, candidate)
        query = sa.select(paired_readings.c.finding).distinct().where(of_pair)
        with self._db.read() as connection:
            return tuple(sorted(connection.execute(query).scalars()))

    def _pairs(self, model: str, champion: str, candidate: str, finding: str) -> list[PairWithTruths]:
        """Every pair with its truths. A pair without any counts, too: by it a patient has its first study."""
        of_finding = _of_versions(model, champion, candidate) & (paired_readings.c.finding == finding)
        with self._db.read() as connection:
            rows = connection.execute(pairs_with_truths(of_finding)).mappings().all()
        return [pair for _, pairs in grouped(rows) for pair in pairs]


_CHANGES: Final = sa.select(pairing.c.model, pairing.c.changes)
_PAIRS: Final = (
    sa.select(
        *(paired_readings.c[name] for name in (*_PAIR, "site", "modality", "scanner")),
        paired_readings.c.finding,
        paired_readings.c.at.label("paired_at"),
        *(truths.c[name] for name in _TRUTH),
    )
    .outerjoin(
        truths,
        (truths.c.study_key == paired_readings.c.study_key)
        & (truths.c.tenant == paired_readings.c.tenant)
        & (truths.c.model == paired_readings.c.model)
        & (truths.c.finding == paired_readings.c.finding),
    )
    .order_by(paired_readings.c.finding, paired_readings.c.id, truths.c.sequence)
)


def _of_versions(model: str, champion: str, candidate: str) -> sa.ColumnElement[bool]:
    pair = (paired_readings.c.champion == champion) & (paired_readings.c.candidate == candidate)
    return (paired_readings.c.model == model) & pair


def pairs_with_truths(which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The pairs of readings that fulfil a condition, in a row for each of their truths, or one without any."""
    return _PAIRS.where(which)


def grouped(rows: Iterable[RowMapping]) -> Iterator[tuple[str, list[PairWithTruths]]]:
    """The rows of `pairs_with_truths` by finding."""
    for finding, of_finding in groupby(rows, key=lambda row: row["finding"]):
        by_pair = (list(of_pair) for _, of_pair in groupby(of_finding, key=lambda row: row["id"]))
        yield (
            finding,
            [
                (_reading(some[0]), tuple(truth_of(row) for row in some if row["sequence"] is not None))
                for some in by_pair
            ],
        )


def _reading(row: RowMapping) -> PairedReading:
    return PairedReading(
        **{name: row[name] for name in _PAIR},
        paired_at=row["paired_at"],
        stratum=Stratum(row["site"], row["modality"], row["scanner"]),
    )
