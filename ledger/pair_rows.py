"""From the outcome of a shadow to the rows of its pair: one for the study, one for each finding and measurement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from sqlalchemy.engine import RowMapping

from canary.adjudication import NO_RESULT, PairKey, pair_id, select
from canary.assignment import StudyFacts
from canary.decision_inputs import read_facts
from canary.disagreement import FindingStatus
from canary.paired_study import Ended, ended_by
from ledger.shadow_records import SAFETY_NET

LABEL_LENGTH: Final = 16
FINDING_LENGTH: Final = 96
Said = Mapping[str, Any]
Outcome = RowMapping | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PairRows:
    """Rows of `paired_studies` and `paired_readings`, but for the moment at which they are written."""

    study: dict[str, Any]
    readings: tuple[dict[str, Any], ...]


def pair_rows(outcome: Outcome, concordant_share: float) -> PairRows | None:
    """The pair of one outcome; None where it tells nothing of one of the versions, or whose study it was."""
    sides = _sides(outcome)
    if outcome["tenant"] is None or sides is None:
        return None
    champion, candidate = sides
    about = _about(outcome)
    read_as = {**about, "role": outcome["role"]}
    rows = _Rows(outcome["model"], champion, candidate, read_as, concordant_share)
    return PairRows(_study(outcome, champion, candidate, about), tuple(rows.of_all()))


class Side:
    """What one version said of a study: labels, scores and values by the concept's key."""

    def __init__(self, version: str, said: Said, ended: Ended) -> None:
        self.version, self.ended = version, ended
        findings = said.get("findings", ())
        self.labels = {_key(f["code"]): str(f["presence"])[:LABEL_LENGTH] for f in findings}
        self.scores = {_key(f["code"]): _number(f.get("probability")) for f in findings}
        self.meanings = {_key(f["code"]): str(f.get("meaning", "")) for f in findings}
        self.values = {_key(concept): _number(value) for concept, value in said.get("measurements", ())}
        self.work_ms = _number(said.get("work_ms"))

    def says(self, finding: str) -> str:
        if self.ended is not Ended.READ:
            return NO_RESULT
        return self.labels.get(finding, FindingStatus.NOT_REPORTED.value)


def _sides(outcome: Outcome) -> tuple[Side, Side] | None:
    """Champion and candidate: as the safety net the champion reads beside the candidate, whom the caller heard."""
    told, said = outcome["delivered"], outcome["outcome"] or {}
    ended = ended_by(told.get("error")), ended_by(outcome["error_code"])
    if ended[0] is None or ended[1] is None:
        return None
    delivered = Side(str(told.get("version", "")), told, ended[0])
    beside = Side(outcome["version"], said, ended[1])
    if delivered.version in ("", beside.version):
        return None
    return (beside, delivered) if outcome["role"] == SAFETY_NET else (delivered, beside)


def _study(outcome: Outcome, champion: Side, candidate: Side, about: dict[str, Any]) -> dict[str, Any]:
    said = outcome["outcome"] or {}
    return {
        **about,
        "model": outcome["model"],
        "champion": champion.version,
        "candidate": candidate.version,
        "champion_ended": champion.ended.value,
        "candidate_ended": candidate.ended.value,
        "champion_ms": champion.work_ms,
        "candidate_ms": candidate.work_ms,
        "overlap": _number(said.get("overlap")),
    }


@dataclass(frozen=True, slots=True)
class _Rows:
    """One row for each finding and measurement that either version speaks of."""

    model: str
    champion: Side
    candidate: Side
    about: Said
    concordant_share: float

    def of_all(self) -> Iterator[dict[str, Any]]:
        for finding in sorted(self.champion.labels.keys() | self.candidate.labels.keys()):
            yield self._labelled(finding)
        for concept in sorted(self.champion.values.keys() | self.candidate.values.keys()):
            yield self._measured(concept)

    def _labelled(self, finding: str) -> dict[str, Any]:
        champion, candidate, key = self.champion, self.candidate, self._key(finding)
        says = champion.says(finding), candidate.says(finding)
        selection = select(key, *says, self.concordant_share)
        return {
            **self._named(key, champion.meanings.get(finding) or candidate.meanings.get(finding) or ""),
            **dict(zip(("champion_says", "candidate_says"), says, strict=True)),
            "champion_score": champion.scores.get(finding),
            "candidate_score": candidate.scores.get(finding),
            "is_discordant": selection.is_discordant,
            "is_selected": selection.is_selected,
            "inclusion_probability": selection.inclusion_probability,
        }

    def _measured(self, concept: str) -> dict[str, Any]:
        values = {
            "champion_value": self.champion.values.get(concept),
            "candidate_value": self.candidate.values.get(concept),
        }
        return {**self._named(self._key(concept), ""), **_NOT_ASKED, **values}

    def _key(self, concept: str) -> PairKey:
        versions = self.champion.version, self.candidate.version
        return PairKey(self.model, concept, *versions, self.about["patient"])

    def _named(self, key: PairKey, meaning: str) -> dict[str, Any]:
        names = {"model": key.model, "finding": key.finding, "meaning": meaning[:64]}
        versions = {"champion": key.champion, "candidate": key.candidate}
        return {**self.about, **_NO_NUMBERS, **names, **versions, "id": pair_id(key)}


_NO_NUMBERS: Final = dict.fromkeys(("champion_value", "candidate_value", "champion_score", "candidate_score"))
_NOT_ASKED: Final = {  # a measurement is told from outside the queue, whatever the versions say
    "champion_says": "",
    "candidate_says": "",
    "is_discordant": False,
    "is_selected": False,
    "inclusion_probability": 1.0,
}


def _key(code: object) -> str:
    """A concept's key, as long as its column: one that is longer must not hold up all other pairs."""
    return str(code)[:FINDING_LENGTH]


def _number(value: object) -> float | None:
    """A finite number; what is none says nothing."""
    return float(value) if isinstance(value, int | float) and isfinite(value) else None


def _about(outcome: Outcome) -> dict[str, Any]:
    """Whose study it is, and where its images came from; of an older row as much as it keeps."""
    facts = _facts(outcome)
    return {
        "patient": patient_of(outcome),
        "study_key": outcome["study_key"],
        "job_id": outcome["job_id"],
        "seen_at": outcome["at"],
        "tenant": outcome["tenant"],
        "site": facts.site[:64],
        "modality": facts.modality[:64],
        "scanner": facts.scanner,
    }


def patient_of(row: Outcome) -> str:
    """Whose study it is, by a row's `facts`, `identity` and `study_key`: the study itself where nobody knows."""
    kind, _, value = row["identity"].partition(":")
    return _facts(row).patient_key or (value if kind == "patient" else row["study_key"])


def _facts(outcome: Outcome) -> StudyFacts:
    try:
        return read_facts(outcome["facts"]) if outcome["facts"] else StudyFacts(outcome["study_key"] or "-")
    except ValueError:
        return StudyFacts(outcome["study_key"] or "-")
