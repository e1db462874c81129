"""A metric's state as JSON values and back, to the last bit."""

from __future__ import annotations

from typing import Any

from canary.evidence.metric import Evidence, MetricState
from canary.evidence.moments import Moments
from canary.evidence.observations import ScorePair
from core.mixture import Mixture


def to_json(state: MetricState) -> dict[str, Any]:
    """Numbers, lists and texts only, all finite; Python writes a float so that it reads the same bits."""
    return {
        "overall": _evidence_to_json(state.overall),
        "strata": [[name, _evidence_to_json(evidence)] for name, evidence in state.strata],
        "harm_peak": state.harm_peak,
    }


def from_json(document: dict[str, Any]) -> MetricState:
    """Raises KeyError or TypeError for what `to_json` never wrote."""
    return MetricState(
        _evidence_from_json(document["overall"]),
        tuple((name, _evidence_from_json(evidence)) for name, evidence in document["strata"]),
        document["harm_peak"],
    )


def _evidence_to_json(evidence: Evidence) -> dict[str, Any]:
    moments = evidence.differences
    return {
        "harm": list(evidence.harm.log_e),
        "non_inferiority": list(evidence.non_inferiority.log_e),
        "observed": evidence.observed,
        "candidate_events": evidence.candidate_events,
        "champion_events": evidence.champion_events,
        "expected_bp": evidence.expected_bp,
        "differences": [moments.count, moments.mean, moments.squares],
        "scores": [[s.positive, s.candidate_score, s.champion_score] for s in evidence.scores],
    }


def _evidence_from_json(document: dict[str, Any]) -> Evidence:
    return Evidence(
        harm=Mixture(tuple(document["harm"])),
        non_inferiority=Mixture(tuple(document["non_inferiority"])),
        observed=document["observed"],
        candidate_events=document["candidate_events"],
        champion_events=document["champion_events"],
        expected_bp=document["expected_bp"],
        differences=Moments(*document["differences"]),
        scores=tuple(
            ScorePair(positive=positive, candidate_score=candidate, champion_score=champion)
            for positive, candidate, champion in document["scores"]
        ),
    )
