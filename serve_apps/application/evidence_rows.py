"""From rows of the ledger to what metrics take. Pure: the same rows in the same order give the same observations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from canary.evidence.metric import NEEDS_CANARY, MetricKind
from canary.evidence.observations import AssignedStudy, DiagnosisPair, FailurePair
from canary.paired_truth import PairedOutcome, Stratum
from canary.routing_table import CANARY
from canary.truth import TruthLabel
from ledger.rollout_feed import DrawnStudy, PairedFailure

OF_DRAWS: Final = NEEDS_CANARY
OF_PAIRS: Final = frozenset({MetricKind.SHADOW_FAILURES})
OF_TRUTHS: Final = frozenset({MetricKind.SENSITIVITY, MetricKind.SPECIFICITY})
UNREAD: Final[Mapping[MetricKind, str]] = {
    MetricKind.DICE: "the ledger keeps no overlap of a segmentation with the truth",
    MetricKind.MEASUREMENT: "a plan does not say yet which measurement is meant",
    MetricKind.LATENCY: "the ledger keeps a shadow's time with its wait and an answer's without",
    MetricKind.AUC: "the ledger keeps no scores of both versions beside a truth",
}


def assigned_studies(draws: Iterable[DrawnStudy], *, candidate: str, stable: str) -> Iterator[AssignedStudy]:
    """Drawn studies of the two versions that are compared; a third one's say nothing of them."""
    for drawn in draws:
        if drawn.version == (candidate if drawn.in_canary else stable):
            yield AssignedStudy(
                in_canary=drawn.in_canary,
                failed=drawn.failed,
                weight_bp=drawn.weights_bp[CANARY],
                strata=labels_of(drawn.stratum),
            )


def failure_pair(pair: PairedFailure) -> FailurePair:
    return FailurePair(
        candidate_failed=pair.candidate_failed,
        champion_failed=pair.champion_failed,
        strata=labels_of(pair.stratum),
    )


def first_of_patients(outcomes: Iterable[PairedOutcome]) -> Iterator[PairedOutcome]:
    """In order of arrival, each patient once for what is present and once for what is absent.

    A model of several findings tells several outcomes of one study, which are not independent.
    """
    seen: set[tuple[str, TruthLabel]] = set()
    for outcome in sorted(outcomes, key=lambda one: (one.arrived_at, one.sequence, one.pair)):
        key = outcome.patient, outcome.truth
        if key not in seen:
            seen.add(key)
            yield outcome


def diagnosis_pair(outcome: PairedOutcome) -> DiagnosisPair:
    """A version that is not right is wrong, whether it said the contrary or nothing."""
    is_positive = outcome.truth is TruthLabel.PRESENT
    return DiagnosisPair(
        positive=is_positive,
        candidate_positive=is_positive if outcome.candidate_correct else not is_positive,
        champion_positive=is_positive if outcome.champion_correct else not is_positive,
        strata=labels_of(outcome.stratum),
    )


def labels_of(stratum: Stratum) -> tuple[str, ...]:
    """As metrics name strata; what is not known is left out."""
    parts = (("site", stratum.site), ("modality", stratum.modality), ("scanner", stratum.scanner))
    return tuple(f"{dimension}={value}" for dimension, value in parts if value)
