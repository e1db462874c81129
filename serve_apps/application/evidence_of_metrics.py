"""A metric in an evidence pack: its question, its verdict, its numbers, and how its e-values came to be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from canary.evidence.estimate import estimate_of
from canary.evidence.judge import judge
from canary.evidence.measure import harm_limit, measure_all, non_inferiority_limit, sharing_guardrails
from canary.evidence.metric import PLANNED, Hypothesis, Measurement, MetricKind, MetricSpec, MetricState
from canary.evidence.metric_state import start
from canary.evidence.storage import to_json
from canary.evidence.thinning import thin
from canary.evidence.told import unit
from canary.evidence.trajectory import Point, Replayed, Trajectory, first_crossing
from canary.rollout.in_words import margin_in_words, question_of
from canary.routing_table import BASIS_POINTS
from core.codec import to_plain
from core.hash_chain import digest_of
from serve_apps.application.evidence_replay import Replay

MOST_POINTS: Final = 1_000  # of one series
_TAKEN: Final = {MetricKind.CANARY_FAILURES: "canary studies and failures of either arm"}


def metric_records(specs: Sequence[MetricSpec], replay: Replay) -> Iterator[dict[str, Any]]:
    """One for each metric of the plan, in its order."""
    sharing = sharing_guardrails(specs)
    for spec, measured in zip(specs, measure_all(specs, _states(replay)), strict=True):
        seen = replay.told.metrics[spec.name]
        found = replay.metrics.get(spec.name) or Replayed(Trajectory(0), start(spec), None)
        yield {
            "metric": spec.name,
            "spec": to_plain(spec),
            "question": question_of(spec),
            "margin": None if spec.margin is None else margin_in_words(spec),
            "verdict": seen.phase.value,
            "reason": seen.reason,
            "unit": unit(spec),
            **_numbers(spec, found.state, measured),
            **_path(spec, found, sharing),
            "kept": _kept(spec, replay.kept[spec.name]) if found.agrees is False else None,
            **_from_sets(spec, replay),
        }


def _from_sets(spec: MetricSpec, replay: Replay) -> dict[str, Any]:
    """Which pairs are of no flow; nothing for a metric that names no ground-truth set."""
    if not spec.truth_sets:
        return {}
    read = replay.from_sets.get(spec.name, {})
    told = [
        {
            "set": one.name,
            "version": one.set_version,
            "digest": one.digest,
            "studies": one.studies,
            "pairs": pairs,
            "arrived_at": one.arrived_at.isoformat(timespec="milliseconds"),
        }
        for one, pairs in read.items()
    ]
    return {"ground_truth": told}


def judgement_record(specs: Sequence[MetricSpec], replay: Replay) -> dict[str, Any]:
    """What all metrics say together."""
    judged = judge(specs, measure_all(specs, _states(replay)))
    return {
        "verdict": judged.phase.value,
        "reason": judged.reason,
        "metrics": list(judged.metrics),
        "log10_e_harm_average": judged.log10_e_harm,
    }


def thinned(series: Sequence[Point], limits: Iterable[float] = ()) -> list[list[float]]:
    """Observations and log10 of the e-value, in few enough points for a plot."""
    return [[point.observations, point.log10_e] for point in thin(series, MOST_POINTS, limits)]


def _states(replay: Replay) -> Mapping[str, MetricState]:
    return {name: found.state for name, found in replay.metrics.items()}


def _numbers(spec: MetricSpec, state: MetricState, measured: Measurement) -> dict[str, Any]:
    seen, estimate = state.overall, estimate_of(spec, state.overall)
    by_weight = spec.kind is MetricKind.CANARY_FAILURES
    return {
        "observed": seen.observed,
        "candidate_events": seen.candidate_events,
        "champion_events": seen.champion_events,
        "expected_candidate_events": seen.expected_bp / BASIS_POINTS if by_weight else None,
        "estimate": None if estimate is None else to_plain(estimate),
        "log10_e_harm": measured.log10_e_harm,
        "log10_e_harm_highest": None if spec.kind in PLANNED else state.harm_peak,
        "log10_e_non_inferiority": measured.log10_e_non_inferiority,
        "strata": [
            {
                "stratum": one.stratum,
                "verdict": one.phase.value,
                "observed": one.observed,
                "log10_e_harm": one.log10_e_harm,
            }
            for one in measured.strata
        ],
    }


def _path(spec: MetricSpec, found: Replayed, sharing: int) -> dict[str, Any]:
    way = found.trajectory
    has_e_value = spec.kind not in PLANNED
    stop = harm_limit(spec, sharing) if has_e_value else None
    shown = non_inferiority_limit(spec) if has_e_value and _asks(spec) else None
    return {
        "limits": {"harm": stop, "non_inferiority": shown, "shared_by": 1 if spec.critical else sharing},
        "crossed_at": {
            "harm": None if stop is None else first_crossing(way.harm, stop),
            "non_inferiority": None if shown is None else first_crossing(way.non_inferiority, shown),
        },
        "trajectory": {
            "observations": way.observations,
            "unit": _TAKEN.get(spec.kind, unit(spec)),
            "harm": thinned(way.harm, () if stop is None else (stop,)),
            "non_inferiority": thinned(way.non_inferiority, () if shown is None else (shown,)),
            "strata": {name: thinned(points) for name, points in way.strata},
        },
        "state_digest": digest_of(to_json(found.state)),
        "agrees_with_kept": found.agrees,
    }


def _kept(spec: MetricSpec, state: MetricState) -> dict[str, Any]:
    """What decided, where the rows of today do not give it."""
    seen = state.overall
    return {
        "observed": seen.observed,
        "candidate_events": seen.candidate_events,
        "champion_events": seen.champion_events,
        "log10_e_harm_highest": None if spec.kind in PLANNED else state.harm_peak,
        "log10_e_non_inferiority": seen.non_inferiority.log10_e if _asks(spec) else None,
        "state_digest": digest_of(to_json(state)),
    }


def _asks(spec: MetricSpec) -> bool:
    return spec.hypothesis is Hypothesis.NON_INFERIORITY
