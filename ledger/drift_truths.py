"""What a version said of studies beside what is known of them by now, and the sample that was adjudicated."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from canary.paired_truth import SILENT, PairedReading
from canary.truth import Truth, TruthLabel, in_force
from ledger.database import Database
from ledger.drift_readings import SLICE_S
from ledger.paired_truths import grouped, pairs_with_truths
from ledger.tables import drift_answers, paired_readings, truths
from ledger.tables.base import EPOCH
from ledger.truths import truth_of
from observability.drift.against_truth import AnsweredStudy, AuditSample
from observability.drift.audited import AuditableStudy
from observability.drift.counters import slice_of

MOST_ANSWERS: Final = 100_000


class DriftTruths:
    """All raise LedgerUnavailable."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def answers(self, model: str, version: str, first: int) -> Mapping[str, tuple[AnsweredStudy, ...]]:
        """By code of the finding, the newest answers from the day `first` on."""
        of_version = (drift_answers.c.model == model) & (drift_answers.c.version == version)
        since = drift_answers.c.at >= datetime.fromtimestamp(first * SLICE_S, EPOCH.tzinfo)
        query = sa.select(drift_answers).where(of_version & since).order_by(drift_answers.c.at.desc())
        with self._db.read() as connection:
            rows = connection.execute(query.limit(MOST_ANSWERS)).all()
            known = _known(connection, model)
        found: dict[str, list[AnsweredStudy]] = defaultdict(list)
        for row in rows:
            truth = known.get((row.study_key, row.finding))
            found[row.finding].append(
                AnsweredStudy(
                    slice_of(int(row.at.timestamp()), SLICE_S),
                    row.score,
                    row.says_positive,
                    None if truth is None else truth.label is TruthLabel.PRESENT,
                    truth is not None and truth.from_queue,
                )
            )
        return {finding: tuple(answers) for finding, answers in found.items()}

    def audits(self, model: str, version: str) -> Mapping[str, AuditSample]:
        """By code of the finding, the studies that the version and another read: of the other with the most."""
        of_model = paired_readings.c.model == model
        mine = (paired_readings.c.champion == version) | (paired_readings.c.candidate == version)
        key = (paired_readings.c.finding, paired_readings.c.champion, paired_readings.c.candidate)
        labelled = paired_readings.c.champion_says != ""
        number = sa.func.count()
        query = sa.select(*key, number).where(of_model & mine & labelled).group_by(*key).order_by(number)
        found = {}
        with self._db.read() as connection:
            largest = {row[0]: (row[1], row[2]) for row in connection.execute(query)}
            for finding, (champion, candidate) in largest.items():
                pair = (paired_readings.c.champion == champion) & (paired_readings.c.candidate == candidate)
                which = of_model & pair & (paired_readings.c.finding == finding)
                rows = connection.execute(pairs_with_truths(which)).mappings().all()
                pairs = [one for _, of_finding in grouped(rows) for one in of_finding]
                against = candidate if champion == version else champion
                found[code_of(finding)] = _sample(pairs, champion == version, against)
        return found


def code_of(finding: str) -> str:
    """`1386000@SCT` is `1386000`, as records tell it."""
    return finding.partition("@")[0]


def _known(connection: Connection, model: str) -> Mapping[tuple[str, str], Truth]:
    """The truth in force of each study and finding that decides."""
    told: dict[tuple[str, str], list[Truth]] = defaultdict(list)
    for row in connection.execute(sa.select(truths).where(truths.c.model == model)).mappings():
        if row["label"] is not None:
            told[row["study_key"], code_of(row["finding"])].append(truth_of(row))
    found = {key: in_force(some) for key, some in told.items()}
    return {key: truth for key, truth in found.items() if truth is not None and truth.decides}


def _sample(
    pairs: Iterable[tuple[PairedReading, tuple[Truth, ...]]], is_champion: bool, against: str
) -> AuditSample:
    """Of what the queue asks some is not answered: the chance to be known is that of being asked, times the share of
    answers among those who differ, or agree. Only answers of the queue count, whose chance is known."""
    told = []
    asked, answered = Counter[bool](), Counter[bool]()
    for pair, some in pairs:
        says = pair.champion_says if is_champion else pair.candidate_says
        score = pair.champion_score if is_champion else pair.candidate_score
        if says in SILENT or score is None:
            continue
        truth = in_force(one for one in some if one.from_queue) if pair.is_selected else None
        known = truth if truth is not None and truth.decides else None
        differs = pair.champion_says != pair.candidate_says
        asked[differs] += pair.is_selected
        answered[differs] += known is not None
        told.append((says == "present", score, pair.inclusion_probability, differs, known))
    studies = tuple(
        AuditableStudy(
            positive,
            score,
            max(chance * (answered[differs] / asked[differs] if answered[differs] else 1.0), 1e-6),
            None if known is None else known.label is TruthLabel.PRESENT,
        )
        for positive, score, chance, differs, known in told
    )
    return AuditSample(against, asked.total(), answered.total(), studies)
