"""What MLflow is told of a rollout: tags and a sentence for its pages, parameters and metrics for its run. Pure.

Words change with the phase, the step, the weight and the verdicts; what grows with each study are the metrics of the
run. Nothing of a study is in either, but a reason holds the words that a person gave with a verb.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from canary.evidence.metric import Hypothesis, MetricPhase, MetricSpec
from canary.rollout.plan import RolloutPlan
from canary.rollout.seen import MetricSeen, RolloutEvidence
from canary.rollout.status import RolloutPhase, RolloutStatus
from ledger import StoredRollout
from registry.runs import RunStatus, metric_name

PHASE_TAG: Final = "rollout.phase"
STEP_TAG: Final = "rollout.step"
WEIGHT_TAG: Final = "rollout.weight"
WHY_TAG: Final = "rollout.why"
EVIDENCE_TAG: Final = "rollout.evidence"
RUN_TAG: Final = "rollout.run"
ROLLOUT_TAGS: Final = (PHASE_TAG, STEP_TAG, WEIGHT_TAG, WHY_TAG, EVIDENCE_TAG, RUN_TAG)
LONGEST_WHY: Final = 400
LONGEST_EVIDENCE: Final = 2_000
MOST_METRIC_PARAMS: Final = 80  # MLflow takes 100 parameters at once
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_ENDS: Final = {
    RolloutPhase.COMPLETED: RunStatus.FINISHED,
    RolloutPhase.FAILED: RunStatus.FAILED,
    RolloutPhase.SUPERSEDED: RunStatus.KILLED,
}

Place = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """The words about one run. `place` is what they follow, `shape` the reason without its numbers.

    `tags` are without the evidence where nothing is known of it.
    """

    place: Place
    shape: str
    tags: Mapping[str, str] = field(default_factory=dict)
    sentence: str = ""


def told_of(stored: StoredRollout, verdicts: Verdicts | None) -> Told:
    """The words about a rollout as it stands."""
    status = stored.status
    tags = {
        PHASE_TAG: status.phase.value,
        STEP_TAG: _step(stored),
        WEIGHT_TAG: f"{status.weight_bp / 100:g} %",
        WHY_TAG: one_line(status.reason, LONGEST_WHY),
    }
    if verdicts is not None:
        tags[EVIDENCE_TAG] = verdicts.text
    return Told(place_of(status, verdicts), _NUMBER.sub("#", status.reason), tags, _sentence(stored))


def place_of(status: RolloutStatus, verdicts: Verdicts | None) -> Place:
    """What a page is written anew for at once."""
    promoted = status.promoted_at is not None
    known = verdicts.phases if verdicts is not None else None
    return (status.phase, status.pause, status.step, status.weight_bp, promoted, known)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the metrics of a plan said when one of their verdicts last changed."""

    phases: tuple[tuple[str, MetricPhase], ...]
    text: str


def verdicts_of(plan: RolloutPlan, evidence: RolloutEvidence) -> Verdicts:
    """Each metric with its verdict; why, where it has one."""
    found = [evidence.metrics[one.name] for one in plan.metrics if one.name in evidence.metrics]
    text = "; ".join(_verdict(one) for one in found)
    return Verdicts(tuple((one.metric, one.phase) for one in found), one_line(text, LONGEST_EVIDENCE))


def metrics_of(status: RolloutStatus, evidence: RolloutEvidence | None) -> Mapping[str, float]:
    """What is drawn over time: percentages, counts, and evidence as log10 of the e-value. Finite numbers only."""
    metrics = {"weight_percent": status.weight_bp / 100}
    if evidence is None:
        return metrics
    metrics |= {
        "studies": float(sum(evidence.studies_by_step.values())),
        "exposed_studies": float(evidence.exposed_studies),
        "adverse_events": float(evidence.adverse_events),
    }
    if evidence.observed_share is not None:
        metrics["observed_share_percent"] = 100 * evidence.observed_share
    for one in evidence.metrics.values():
        metrics |= dict(_of_metric(one))
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def params_of(stored: StoredRollout) -> Mapping[str, str]:
    """What is fixed with the start of a run."""
    status, plan = stored.status, stored.plan
    metrics = plan.metrics[:MOST_METRIC_PARAMS]
    return {
        "plan": plan.name,
        "plan_digest": status.plan_digest,
        "model": status.model,
        "candidate": status.candidate,
        "stable": status.stable,
        "run": str(status.run),
        "steps": ", ".join(step.kind for step in plan.steps)[:LONGEST_WHY],
    } | {f"metric/{metric_name(one.name)}": _asked(one) for one in metrics}


def run_name(status: RolloutStatus) -> str:
    return f"{status.model} v{status.candidate} run {status.run}"


def identity_of(status: RolloutStatus) -> str:
    """Tells a run from all others of its site, also from those of a ledger that was begun anew."""
    return f"{status.model}/{status.run}/{status.began_at.astimezone(UTC).isoformat()}"


def end_of(status: RolloutStatus) -> RunStatus | None:
    """How the run in MLflow ends; None while the rollout is under way."""
    return _ENDS.get(status.phase)


def seconds_between(began_at: datetime, at: datetime) -> int:
    """Where metrics of that time stand along the axis of the run."""
    return max(0, round((at - began_at).total_seconds()))


def one_line(text: str, longest: int) -> str:
    return " ".join(text.split())[:longest]


def _step(stored: StoredRollout) -> str:
    step, steps = stored.status.step, stored.plan.steps
    return f"{step} of {len(steps)}: {steps[step].kind}" if step < len(steps) else f"all {len(steps)} done"


def _sentence(stored: StoredRollout) -> str:
    """Where it stands; why, where that is no count that grows with each study."""
    status = stored.status
    if status.has_ended:
        return f"{status.phase}: {one_line(status.reason, LONGEST_WHY)}"
    place = f"{status.phase} in step {_step(stored)}, at {status.weight_bp / 100:g} %"
    is_plain = status.phase is RolloutPhase.PROGRESSING and not status.reason.startswith("holds: ")
    return place if is_plain else f"{place}: {one_line(status.reason, LONGEST_WHY)}"


def _verdict(one: MetricSeen) -> str:
    is_open = one.phase is MetricPhase.RUNNING
    return f"{one.metric} {one.phase}" if is_open else f"{one.metric} {one.phase}: {one.reason}"


def _of_metric(one: MetricSeen) -> Iterator[tuple[str, float]]:
    group = f"evidence/{metric_name(one.metric)}"
    yield f"{group}/observed", float(one.observed)
    if one.log10_e_harm is not None:
        yield f"{group}/log10_e_harm", one.log10_e_harm
    if one.log10_e_non_inferiority is not None:
        yield f"{group}/log10_e_non_inferiority", one.log10_e_non_inferiority


def _asked(metric: MetricSpec) -> str:
    """One question of the plan with its margin and the chance of a wrong answer."""
    is_ni = metric.hypothesis is Hypothesis.NON_INFERIORITY
    alphas = f"alpha of harm {metric.alpha_harm:g}"
    if is_ni:
        alphas = f"margin {metric.margin:g}, alpha {metric.alpha_non_inferiority:g}, {alphas}"
    tolerance = f", tolerance {metric.tolerance:g}" if metric.tolerance else ""
    dry = ", dry run" if metric.dry_run else ""
    return f"{metric.kind}, {metric.hypothesis}: {alphas}{tolerance}{dry}"
