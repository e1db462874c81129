"""From what metrics say to what a rollout sees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from canary.evidence.judge import judge
from canary.evidence.measure import measure_all
from canary.evidence.metric import Measurement, MetricPhase, MetricSpec, MetricState
from canary.rollout.seen import MetricSeen


def metrics_seen(
    specs: Iterable[MetricSpec], states: Mapping[str, MetricState], unread: Mapping[str, str]
) -> Mapping[str, MetricSeen]:
    """What each metric of a plan says. `unread`: why a metric has no data, by its name; it stays open.

    All guardrails together may show harm that none shows alone: then the one with the highest evidence has failed,
    and its reason is that of the judgement.
    """
    specs = tuple(specs)
    measured = measure_all(specs, states)
    seen = {one.metric: _seen(one) for one in measured}
    for name, why in unread.items():
        seen[name] = MetricSeen(name, MetricPhase.RUNNING, f"{name} has no data: {why}")
    judgement = judge(specs, measured)
    if judgement.phase is MetricPhase.FAILED:
        first = seen[judgement.metrics[0]]
        if first.phase is not MetricPhase.FAILED:
            seen[first.metric] = replace(first, phase=MetricPhase.FAILED, reason=judgement.reason)
    return seen


def _seen(one: Measurement) -> MetricSeen:
    return MetricSeen(
        one.metric, one.phase, one.reason, one.observed, one.log10_e_harm, one.log10_e_non_inferiority
    )
