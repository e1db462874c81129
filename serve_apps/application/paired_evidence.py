"""The metrics of pairs: each goes on from the change up to which it took them, or takes all anew.

A cursor says up to which change of the model's pairs and truths all was taken in, and how often something was
rewritten by then (`ledger.pairing.PairingMark`). While nothing more was, what is new stands behind: it alone is read.
After a rewrite, as when a truth is withdrawn, everything up to now is taken, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from canary.evidence.metric import MetricKind, MetricSpec, MetricState
from canary.evidence.metric_state import start
from canary.evidence.observations import Observation
from canary.evidence.storage import from_json
from canary.paired_truth import PairedOutcome
from canary.truth import TruthLabel
from ledger.paired_feed import PairedFeed, PairedStudy, Span, Versions
from ledger.pairing import PairingMark
from ledger.rollout_evidence import KeptEvidence
from ledger.set_pairs import FindingOutcome, ReadSet, SetPairs
from ledger.tables import EPOCH, microseconds
from serve_apps.application.evidence_intake import Intake
from serve_apps.application.paired_rows import (
    diagnosis_pair,
    each_study_once,
    failure_pair,
    first_of_patients,
    latency_pair,
    measurement_pair,
    overlap_pair,
    score_pair,
)

OF_STUDIES: Final[Mapping[MetricKind, Callable[[PairedStudy], Observation | None]]] = {
    MetricKind.SHADOW_FAILURES: failure_pair,
    MetricKind.LATENCY: latency_pair,
    MetricKind.DICE: overlap_pair,
}
OF_DIAGNOSES: Final = frozenset({MetricKind.SENSITIVITY, MetricKind.SPECIFICITY})
OF_PAIRS: Final = frozenset({*OF_STUDIES, *OF_DIAGNOSES, MetricKind.MEASUREMENT, MetricKind.AUC})
Row = TypeVar("Row")
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Taken:
    """A metric after a look. `cursor` is None where there is nothing to keep: nothing came, or nothing ever did."""

    state: MetricState
    cursor: Json | None = None


@dataclass(slots=True)
class PairedEvidence:
    """One look at the pairs of two versions. Rows that several metrics take are read once."""

    feed: PairedFeed
    sets: SetPairs
    versions: Versions
    began_at: datetime
    intake: Intake = field(default_factory=Intake)
    _read: dict[tuple[str, Span], Sequence[Any]] = field(default_factory=dict)

    def taken(self, specs: Iterable[MetricSpec], kept: Mapping[str, KeptEvidence]) -> Mapping[str, Taken]:
        """What the metrics of pairs say now, by name, from what was kept of them."""
        mark = self.feed.mark(self.versions.model)
        return {spec.name: self._taken(spec, kept.get(spec.name), mark) for spec in specs}

    def _taken(self, spec: MetricSpec, kept: KeptEvidence | None, mark: PairingMark) -> Taken:
        after = None if kept is None else _stands(kept.cursor, mark)
        state = start(spec) if kept is None or after is None else from_json(dict(kept.state))
        if mark.at is None or after == mark.at:
            return Taken(state)
        new = self.observations(spec, Span(after, mark.at))
        cursor = {"rewrites": mark.rewrites, "at": microseconds(mark.at)}
        return Taken(self.intake.metric(spec, state, new), cursor)

    def observations(self, spec: MetricSpec, span: Span) -> list[Observation]:
        """What became known in a span and in this run, in order."""
        return [one for one in self._all(spec, span) if one is not None]

    def _all(self, spec: MetricSpec, span: Span) -> Iterable[Observation | None]:
        if spec.kind in OF_STUDIES:
            return map(OF_STUDIES[spec.kind], self._studies(span))
        if spec.kind in OF_DIAGNOSES:
            return map(diagnosis_pair, self._new(first_of_patients(self._outcomes(spec, span)), span))
        if spec.kind is MetricKind.AUC:
            return map(score_pair, self._new(self._outcomes(spec, span), span))
        pairs = self.feed.measured(self.versions, spec.concept or "", span)
        recent = (pair for pair in pairs if pair.at >= self.began_at)
        return map(partial(measurement_pair, relative=spec.relative), recent)

    def _studies(self, span: Span) -> Sequence[PairedStudy]:
        studies = self._once("studies", span, lambda: self.feed.studies(self.versions, span))
        return [study for study in studies if study.at >= self.began_at]

    def from_sets(self, spec: MetricSpec) -> Mapping[ReadSet, int]:
        """How many pairs of each ground-truth set count for the metric."""
        mark = self.feed.mark(self.versions.model)
        if mark.at is None:
            return {}
        counted = self._new(first_of_patients(self._outcomes(spec, span := Span(None, mark.at))), span)
        pairs = [one.pair for one in counted if _reads(spec, one)]
        return {of: sum(pair.startswith(of.label) for pair in pairs) for of in self._sets_of(spec)}

    def _outcomes(self, spec: MetricSpec, span: Span) -> Iterable[PairedOutcome]:
        """Of the finding that the metric reads, or of all, in order of arrival."""
        known = self._live(span)
        if spec.truth_sets:
            known = self._with_sets(spec, span, known)
        return (outcome for of, outcome in known if spec.concept in (None, of))

    def _live(self, span: Span) -> Sequence[FindingOutcome]:
        return self._once("outcomes", span, lambda: self.feed.outcomes(self.versions, span))

    def _with_sets(
        self, spec: MetricSpec, span: Span, live: Sequence[FindingOutcome]
    ) -> Sequence[FindingOutcome]:
        """With the pairs of ground-truth sets. A study that was read in both ways counts as it came first."""
        read = [one for one in self._sets_of(spec) if one.arrived_at <= span.up_to]
        if any(span.has(one.arrived_at) for one in read):
            live, asked = self._live(Span(None, span.up_to)), None
        else:
            asked = {outcome.study_key for _, outcome in live}
        told = [self.sets.outcomes(one, self.versions, asked) for one in read]
        return each_study_once((live, *told), self.began_at)

    def _sets_of(self, spec: MetricSpec) -> Sequence[ReadSet]:
        key = f"sets {' '.join(spec.truth_sets)}"
        whole = Span(None, self.began_at)
        return self._once(
            key, whole, lambda: self.sets.read_by(self.versions, spec.truth_sets, self.began_at)
        )

    def _new(self, outcomes: Iterable[PairedOutcome], span: Span) -> Iterable[PairedOutcome]:
        """Those of the span: a patient of whom something is new may have been taken before."""
        return (one for one in outcomes if span.has(one.arrived_at) and one.arrived_at >= self.began_at)

    def _once(self, name: str, span: Span, read: Callable[[], Sequence[Row]]) -> Sequence[Row]:
        if (name, span) not in self._read:
            self._read[name, span] = read()
        return self._read[name, span]


def _reads(spec: MetricSpec, outcome: PairedOutcome) -> bool:
    """Whether the outcome is one of those that the metric is made of."""
    if spec.kind is MetricKind.AUC:
        return outcome.is_scored
    return (outcome.truth is TruthLabel.PRESENT) == (spec.kind is MetricKind.SENSITIVITY)


def _stands(cursor: Json, mark: PairingMark) -> datetime | None:
    """Up to when a metric took all that still stands; None where it has to take all anew."""
    if mark.at is None or cursor.get("rewrites") != mark.rewrites:
        return None
    at = EPOCH + timedelta(microseconds=cursor["at"])
    return at if at <= mark.at else None
