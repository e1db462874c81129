"""How a study moves what is known of a metric. Pure: the same studies in the same order give the same bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from canary.evidence.errors_by_arm import RATIOS, observe_against_slo, observe_error
from canary.evidence.latency import log_e_above, log_e_below, sharpness
from canary.evidence.metric import Evidence, MetricKind, MetricSpec, MetricState
from canary.evidence.observations import (
    AssignedStudy,
    DiagnosisPair,
    FailurePair,
    LatencyPair,
    MeasurementPair,
    Observation,
    OverlapPair,
    ScorePair,
)
from canary.evidence.paired_difference import (
    HARM_BETS,
    NON_INFERIORITY_BETS,
    observe_harm,
    observe_non_inferiority,
)
from core.mixture import Mixture, mean_log10

OTHER_STRATA: Final = "other strata"
_BETS: Final = {
    MetricKind.CANARY_FAILURES: len(RATIOS),
    MetricKind.FAILURES_OVER_SLO: len(RATIOS),
    MetricKind.SHADOW_FAILURES: len(HARM_BETS),
    MetricKind.SENSITIVITY: len(HARM_BETS),
    MetricKind.SPECIFICITY: len(HARM_BETS),
    MetricKind.DICE: len(HARM_BETS),
}


def start(spec: MetricSpec) -> MetricState:
    """A metric before its first study."""
    return MetricState(_empty(spec))


def update(spec: MetricSpec, state: MetricState, observation: Observation) -> MetricState:
    """Take in one study. What the metric does not read leaves the state as it is, so that it may be given all."""
    overall = _observed(spec, state.overall, observation)
    if overall is state.overall:
        return state
    strata = dict(state.strata)
    for label in _labels(spec, observation.strata):
        name = label if label in strata or _named(strata) < spec.max_strata else OTHER_STRATA
        strata[name] = _observed(spec, strata.get(name) or _empty(spec), observation)
    changed = replace(state, overall=overall, strata=tuple(strata.items()))
    return replace(changed, harm_peak=max(state.harm_peak, harm_log10_e(spec, changed)))


def update_all(spec: MetricSpec, state: MetricState, observations: Iterable[Observation]) -> MetricState:
    for observation in observations:
        state = update(spec, state, observation)
    return state


def harm_log10_e(spec: MetricSpec, state: MetricState) -> float:
    """log10 of one e-value against "no harm, in all and in each stratum": half of it for all, half for the strata.

    A stratum that has not appeared yet stands with an e-value of 1, so that its coming changes nothing.
    """
    overall = state.overall.harm.log10_e
    if not spec.strata:
        return overall
    unseen = [0.0] * (stratum_slots(spec) - len(state.strata))
    strata = [evidence.harm.log10_e for _, evidence in state.strata]
    return mean_log10((overall, mean_log10(strata + unseen)))


def stratum_slots(spec: MetricSpec) -> int:
    """The strata that are judged for themselves, and one place for all that come after them."""
    return spec.max_strata + 1


def _empty(spec: MetricSpec) -> Evidence:
    return Evidence(
        Mixture.start(_BETS.get(spec.kind, 1)), Mixture.start(_bets_on_non_inferiority(spec.kind))
    )


def _bets_on_non_inferiority(kind: MetricKind) -> int:
    return len(NON_INFERIORITY_BETS) if _BETS.get(kind) == len(HARM_BETS) else 1


def _named(strata: Mapping[str, Evidence]) -> int:
    return len(strata) - (OTHER_STRATA in strata)


def _labels(spec: MetricSpec, labels: Iterable[str]) -> list[str]:
    """One label per dimension of the spec; a study that does not say is of the stratum `unknown`."""
    known = dict(label.partition("=")[::2] for label in labels)
    return [f"{dimension}={known.get(dimension, 'unknown')}" for dimension in spec.strata]


def _observed(spec: MetricSpec, evidence: Evidence, observation: Observation) -> Evidence:
    kind, take = _TAKES[spec.kind]
    return take(spec, evidence, observation) if isinstance(observation, kind) else evidence


def _assigned(spec: MetricSpec, evidence: Evidence, study: AssignedStudy) -> Evidence:
    if not study.failed:
        return replace(evidence, observed=evidence.observed + 1) if study.in_canary else evidence
    return replace(
        evidence,
        harm=observe_error(evidence.harm, in_canary=study.in_canary, weight_bp=study.weight_bp),
        observed=evidence.observed + study.in_canary,
        candidate_events=evidence.candidate_events + study.in_canary,
        champion_events=evidence.champion_events + (not study.in_canary),
        expected_bp=evidence.expected_bp + study.weight_bp,
    )


def _against_slo(spec: MetricSpec, evidence: Evidence, study: AssignedStudy) -> Evidence:
    if not study.in_canary or spec.slo is None:
        return evidence
    return replace(
        evidence,
        harm=observe_against_slo(evidence.harm, failed=study.failed, slo=spec.slo),
        observed=evidence.observed + 1,
        candidate_events=evidence.candidate_events + study.failed,
    )


def _failures(spec: MetricSpec, evidence: Evidence, pair: FailurePair) -> Evidence:
    return _right_or_wrong(spec, evidence, not pair.candidate_failed, not pair.champion_failed)


def _diagnosis(spec: MetricSpec, evidence: Evidence, pair: DiagnosisPair) -> Evidence:
    if pair.positive != (spec.kind is MetricKind.SENSITIVITY):
        return evidence
    candidate, champion = pair.candidate_positive, pair.champion_positive
    return _right_or_wrong(spec, evidence, candidate == pair.positive, champion == pair.positive)


def _right_or_wrong(spec: MetricSpec, evidence: Evidence, candidate: bool, champion: bool) -> Evidence:
    counted = replace(
        evidence,
        candidate_events=evidence.candidate_events + (not candidate),
        champion_events=evidence.champion_events + (not champion),
    )
    return _difference(spec, counted, float(candidate) - float(champion))


def _overlap(spec: MetricSpec, evidence: Evidence, pair: OverlapPair) -> Evidence:
    counted = replace(
        evidence,
        candidate_events=evidence.candidate_events + (pair.candidate_dice is None),
        champion_events=evidence.champion_events + (pair.champion_dice is None),
    )
    return _difference(spec, counted, _dice(pair.candidate_dice) - _dice(pair.champion_dice))


def _dice(value: float | None) -> float:
    if value is not None and not 0.0 <= value <= 1.0:
        raise ValueError("a Dice coefficient lies within 0..1")
    return value or 0.0


def _difference(spec: MetricSpec, evidence: Evidence, difference: float) -> Evidence:
    shown = evidence.non_inferiority
    if spec.margin is not None:
        shown = observe_non_inferiority(shown, difference, margin=spec.margin)
    return replace(
        evidence,
        harm=observe_harm(evidence.harm, difference, tolerance=spec.tolerance),
        non_inferiority=shown,
        observed=evidence.observed + 1,
        differences=evidence.differences.add(difference),
    )


def _latency(spec: MetricSpec, evidence: Evidence, pair: LatencyPair) -> Evidence:
    if min(pair.candidate_ms, pair.champion_ms) <= 0.0:
        raise ValueError("a latency is above 0 ms")
    gains = evidence.differences.add(math.log(pair.champion_ms / pair.candidate_ms))
    rho2 = sharpness(spec.alpha_harm, spec.typical_observations)
    harm = log_e_below(gains, -math.log1p(spec.tolerance), rho2=rho2)
    shown = 0.0
    if spec.margin is not None:
        rho2 = sharpness(spec.alpha_non_inferiority, spec.typical_observations)
        shown = log_e_above(gains, -math.log1p(spec.margin), rho2=rho2)
    return replace(
        evidence,
        harm=Mixture((harm,)),
        non_inferiority=Mixture((shown,)),
        observed=evidence.observed + 1,
        differences=gains,
    )


def _measured(spec: MetricSpec, evidence: Evidence, pair: MeasurementPair) -> Evidence:
    """Pairs after the planned number are no part of the one look, so they are not taken in."""
    if evidence.observed == spec.planned_looks[-1]:
        return evidence
    if pair.candidate is None or pair.champion is None:
        return replace(
            evidence,
            candidate_events=evidence.candidate_events + (pair.candidate is None),
            champion_events=evidence.champion_events + (pair.champion is None),
        )
    difference = pair.candidate - pair.champion
    if spec.relative:
        difference = _share(difference, pair.candidate, pair.champion)
    return replace(evidence, observed=evidence.observed + 1, differences=evidence.differences.add(difference))


def _share(difference: float, candidate: float, champion: float) -> float:
    """Of the mean of both (Bland & Altman 1999, section 2.4); two values of 0, as of nothing found, do not differ."""
    if min(candidate, champion) < 0.0:
        raise ValueError("a relative difference needs measurements that are not below 0")
    mean = (candidate + champion) / 2.0
    return difference / mean if mean else 0.0


def _scored(spec: MetricSpec, evidence: Evidence, pair: ScorePair) -> Evidence:
    if evidence.observed == spec.planned_looks[-1]:
        return evidence
    return replace(
        evidence,
        observed=evidence.observed + 1,
        candidate_events=evidence.candidate_events + (pair.candidate_score is None),
        champion_events=evidence.champion_events + (pair.champion_score is None),
        scores=(*evidence.scores, pair),
    )


_TAKES: Final[Mapping[MetricKind, tuple[type, Callable[[MetricSpec, Evidence, Any], Evidence]]]] = {
    MetricKind.CANARY_FAILURES: (AssignedStudy, _assigned),
    MetricKind.FAILURES_OVER_SLO: (AssignedStudy, _against_slo),
    MetricKind.SHADOW_FAILURES: (FailurePair, _failures),
    MetricKind.SENSITIVITY: (DiagnosisPair, _diagnosis),
    MetricKind.SPECIFICITY: (DiagnosisPair, _diagnosis),
    MetricKind.DICE: (OverlapPair, _overlap),
    MetricKind.MEASUREMENT: (MeasurementPair, _measured),
    MetricKind.LATENCY: (LatencyPair, _latency),
    MetricKind.AUC: (ScorePair, _scored),
}
