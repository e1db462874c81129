"""What two versions made of a ground-truth set, as pairs for a rollout's evidence.

Which readings count is fixed before anybody can know them: of a set the version that was the newest when the run of
the rollout began, and of each version of the model its first run of that. So a set that is run again, as on a
schedule, adds nothing; and one that the candidate had read before the run began is no evidence of it. All pairs of a
set arrive at once, when the later of the two runs has ended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from canary.paired_study import ended_by
from canary.paired_truth import PairedOutcome, PairedReading, Stratum, outcome_beside
from canary.truth_set import SetStudy, reading_id
from ledger.database import Database
from ledger.pair_rows import Side
from ledger.paired_feed import Versions
from ledger.tables import shadow_outcomes, truth_set_runs, truth_sets
from ledger.truth_sets import set_studies

FindingOutcome = tuple[str, PairedOutcome]


@dataclass(frozen=True, slots=True)
class ReadSet:
    """A version of a set that both versions of a model have read; the runs are named by their ids."""

    name: str
    set_version: int
    digest: str
    studies: int
    champion_run: str
    candidate_run: str
    arrived_at: datetime

    @property
    def label(self) -> str:
        """How its pairs are called, each with more behind it."""
        return f"set {self.name} {self.set_version} "


class SetPairs:
    """Reads only."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def read_by(self, versions: Versions, names: Sequence[str], began_at: datetime) -> tuple[ReadSet, ...]:
        """The sets of these names that both versions have read, the candidate not before `began_at`; in order of
        arrival.
        """
        with self._db.read() as connection:
            found = [_read_set(connection, versions, name, began_at) for name in names]
        read = [one for one in found if one is not None]
        return tuple(sorted(read, key=lambda one: (one.arrived_at, one.name)))

    def outcomes(
        self, of: ReadSet, versions: Versions, studies: Collection[str] | None = None
    ) -> tuple[FindingOutcome, ...]:
        """Who was right about each study that both versions were given, with its finding, in the set's order.

        Only of some studies, by their pseudonyms, or of all. What one of them could not be given makes no pair.
        """
        with self._db.read() as connection:
            members = set_studies(connection, of.name, of.set_version)
            champion, candidate = (
                _sides(connection, run, version, studies)
                for run, version in (
                    (of.champion_run, versions.champion),
                    (of.candidate_run, versions.candidate),
                )
            )
        return tuple(outcome for study in members for outcome in _outcomes(of, study, champion, candidate))


Sides = Mapping[str, tuple[str, Side]]  # by the id of the reading: the study's pseudonym, and what was said


def _read_set(connection: Connection, versions: Versions, name: str, began_at: datetime) -> ReadSet | None:
    its = (truth_sets.c.name == name) & (truth_sets.c.model == versions.model) & (truth_sets.c.at <= began_at)
    newest = sa.select(truth_sets).where(its).order_by(truth_sets.c.version.desc()).limit(1)
    of = connection.execute(newest).mappings().first()
    if of is None:
        return None
    champion, candidate = (
        _first_run(connection, of, version) for version in (versions.champion, versions.candidate)
    )
    if champion is None or candidate is None or candidate["ended_at"] < began_at:
        return None
    arrived_at = max(champion["ended_at"], candidate["ended_at"])
    about = (of["name"], of["version"], of["digest"], of["studies"])
    return ReadSet(*about, champion["id"], candidate["id"], arrived_at)


def _first_run(connection: Connection, of: RowMapping, version: str) -> RowMapping | None:
    """The first run that was begun, once it has ended."""
    its = (truth_set_runs.c.name == of["name"]) & (truth_set_runs.c.set_version == of["version"])
    columns = (truth_set_runs.c.id, truth_set_runs.c.ended_at)
    query = sa.select(*columns).where(its & (truth_set_runs.c.version == version))
    first = connection.execute(query.order_by(truth_set_runs.c.at, truth_set_runs.c.id).limit(1))
    row = first.mappings().first()
    return None if row is None or row["ended_at"] is None else row


_OUTCOME: Final = tuple(shadow_outcomes.c[name] for name in ("job_id", "study_key", "outcome", "error_code"))


def _sides(connection: Connection, run: str, version: str, studies: Collection[str] | None) -> Sides:
    of_run = shadow_outcomes.c.batch == run
    if studies is not None:
        of_run &= shadow_outcomes.c.study_key.in_(sorted(studies))
    sides: dict[str, tuple[str, Side]] = {}
    for row in connection.execute(sa.select(*_OUTCOME).where(of_run)).mappings():
        ended = ended_by(row["error_code"])
        if ended is not None:
            said: Mapping[str, Any] = row["outcome"] or {}
            sides[row["job_id"]] = row["study_key"], Side(version, said, ended)
    return sides


def _outcomes(of: ReadSet, study: SetStudy, champions: Sides, candidates: Sides) -> Iterator[FindingOutcome]:
    """Of a finding of which neither version speaks there is none, as among the pairs of the flow."""
    told = champions.get(reading_id(of.champion_run, study.number))
    beside = candidates.get(reading_id(of.candidate_run, study.number))
    if told is None or beside is None:
        return
    (study_key, champion), (_, candidate) = told, beside
    for finding, truth in study.truths.items():
        if finding not in champion.labels.keys() | candidate.labels.keys():
            continue
        pair = PairedReading(
            id=f"{of.label}{study.number:05d} {finding}",
            patient=study_key,
            paired_at=of.arrived_at,
            stratum=Stratum(),
            is_selected=False,
            inclusion_probability=1.0,
            champion_says=champion.says(finding),
            candidate_says=candidate.says(finding),
            champion_score=champion.scores.get(finding),
            candidate_score=candidate.scores.get(finding),
            study_key=study_key,
        )
        yield finding, outcome_beside(pair, truth.label, truth.source)
