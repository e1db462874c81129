"""What the ledger says of a rollout's run, in orders that a recomputation repeats.

Rows of decisions and exposures carry the time at which their transaction began, so that one may be seen only after a
later one was. They are therefore given once they are SETTLED, by (`at`, identity or job), and rows that are given
never change. What two versions are compared by is given by `ledger.paired_feed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from canary.decision_inputs import read_facts
from canary.explain import read_segments
from canary.paired_truth import Stratum
from canary.routing_table import CANARY
from ledger.database import Database
from ledger.decisions import ANSWERED, FAILED
from ledger.pairing import SETTLED
from ledger.tables import decisions, escalations, exposures

ALWAYS: Final = datetime.max.replace(tzinfo=UTC)


class Place(NamedTuple):
    """A place in the order of rows: behind all that came up to it."""

    at: datetime
    key: str


@dataclass(frozen=True, slots=True)
class DrawnStudy:
    """The first study of a patient that was drawn in the run: by which arm, and whether its version failed at it.

    `weights_bp` are the widths of all arms at that moment, in basis points; the rest of the patients, whom no arm
    has, is the champion's.
    """

    place: Place
    arm: str
    version: str
    weights_bp: dict[str, int]
    failed: bool
    stratum: Stratum

    @property
    def in_canary(self) -> bool:
        return self.arm == CANARY


@dataclass(frozen=True, slots=True)
class AnsweredStudy:
    """A study that the candidate answered as canary, with the weight that it had when the study was drawn."""

    place: Place
    weight_bp: int


class RolloutFeed:
    """Reads only; pseudonyms only."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def settled_before(self) -> datetime:
        """No row of an earlier time is still to appear."""
        with self._db.read() as connection:
            return self._db.now(connection) - SETTLED

    def draws(self, model: str, after: Place, before: datetime) -> tuple[DrawnStudy, ...]:
        """Draws of the canary's split behind a place, each patient once under the salt of the run."""
        order = exposures.c.at, exposures.c.identity
        query = (
            sa.select(exposures, _FACTS)
            .where((exposures.c.model == model) & _between(order, after, before))
            .where(exposures.c.failed.is_not(None))
            .order_by(*order)
        )
        with self._db.read() as connection:
            drawn = (_drawn(row) for row in connection.execute(query).mappings())
            return tuple(study for study in drawn if CANARY in study.weights_bp)

    def answers(self, model: str, version: str, after: Place, before: datetime) -> tuple[AnsweredStudy, ...]:
        """Studies that a version answered as canary, behind a place."""
        order = decisions.c.at, decisions.c.job_id
        query = (
            sa.select(*order, decisions.c.weight_bp)
            .where((decisions.c.model == model) & _between(order, after, before))
            .where((decisions.c.version == version) & (decisions.c.role == ANSWERED))
            .where(decisions.c.variant == CANARY)
            .order_by(*order)
        )
        with self._db.read() as connection:
            return tuple(AnsweredStudy(Place(at, job), bp) for at, job, bp in connection.execute(query))

    def answered_number(self, model: str, since: datetime) -> int:
        """Studies of a model that any version answered since then."""
        its = (decisions.c.model == model) & (decisions.c.at >= since) & (decisions.c.role == ANSWERED)
        with self._db.read() as connection:
            return int(connection.execute(sa.select(sa.func.count()).where(its)).scalar_one())

    def failures(self, model: str, version: str, since: datetime, until: datetime = ALWAYS) -> int:
        """Studies that a version was to answer as canary, and failed; each once, however often it was tried."""
        failed = _HAS_FAILED & (decisions.c.variant == CANARY) & decisions.c.counts
        of_version = (decisions.c.model == model) & (decisions.c.version == version)
        query = sa.select(sa.func.count()).where(of_version & failed & _within(decisions.c.at, since, until))
        with self._db.read() as connection:
            return int(connection.execute(query).scalar_one())

    def escalated(
        self, model: str, version: str, after: int, since: datetime, until: datetime = ALWAYS
    ) -> tuple[int, int]:
        """Studies that a version answered as canary and of which another version says something critical else.

        Returns their number among the escalations behind the one numbered `after`, and the last number. A study is
        counted with its first escalation.
        """
        answered = sa.exists().where(
            (decisions.c.job_id == escalations.c.job_id)
            & (decisions.c.role == ANSWERED)
            & (decisions.c.version == version)
            & (decisions.c.model == model)
            & (decisions.c.variant == CANARY)
            & (decisions.c.at >= since)  # a former run's studies may be read again for their recall
        )
        earlier = escalations.alias("earlier")
        again = sa.exists().where(
            (earlier.c.job_id == escalations.c.job_id) & (earlier.c.sequence < escalations.c.sequence)
        )
        new = (escalations.c.sequence > after) & _within(escalations.c.at, since, until)
        count = sa.select(sa.func.count()).select_from(escalations)
        with self._db.read() as connection:
            last = connection.execute(sa.select(sa.func.max(escalations.c.sequence))).scalar() or 0
            new &= escalations.c.sequence <= last
            return int(connection.execute(count.where(new & answered & ~again)).scalar_one()), last


_HAS_FAILED: Final = decisions.c.role == sa.literal_column(f"'{FAILED}'")  # as the index says it
_FACTS: Final = (
    sa.select(sa.func.max(decisions.c.facts))
    .where(decisions.c.job_id == exposures.c.job_id)
    .scalar_subquery()
    .label("facts")
)


def _between(
    order: tuple[sa.Column[Any], sa.Column[Any]], after: Place, before: datetime
) -> sa.ColumnElement[bool]:
    at, key = order
    behind = (at > after.at) | (key > after.key)
    return (at >= after.at) & behind & (at < before)


def _within(at: sa.Column[datetime], since: datetime, until: datetime) -> sa.ColumnElement[bool]:
    return (at >= since) & (at < until)


def _drawn(row: RowMapping) -> DrawnStudy:
    return DrawnStudy(
        place=Place(row["at"], row["identity"]),
        arm=row["arm"],
        version=row["version"],
        weights_bp={segment.arm: segment.stop - segment.start for segment in read_segments(row["segments"])},
        failed=row["failed"],
        stratum=_stratum(row["facts"]),
    )


def _stratum(facts: str | None) -> Stratum:
    """Where the images came from, as much as is kept of it."""
    try:
        known = read_facts(facts) if facts else None
    except ValueError:
        known = None
    return Stratum() if known is None else Stratum(known.site[:64], known.modality[:64], known.scanner)
