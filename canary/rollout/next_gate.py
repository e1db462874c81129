"""What stands between a rollout and its next move: people, studies, evidence, time, or the routers. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from canary.evidence.metric import MetricPhase
from canary.rollout.approvals import absent_roles
from canary.rollout.case import Case
from canary.rollout.status import RolloutPhase
from canary.rollout.step import ApprovalRule, Experiment, Pause, SetMirror, SetWeight, metrics_of


class NextGateKind(StrEnum):
    """Studies stand before evidence: where both are asked for, it is `studies` until they have come."""

    PERSON = "person"  # it is paused, and somebody has to look
    APPROVAL = "approval"
    STUDIES = "studies"
    EVIDENCE = "evidence"
    TIME = "time"
    ROUTERS = "routers"  # a weight or a mirror is to come into force
    PROMOTION = "promotion"  # every step is done, or the alias is on its way
    WAY_BACK = "way-back"


@dataclass(frozen=True, slots=True)
class NextGate:
    """`roles` are those in which nobody approved yet, `people` how many more have to. `studies` of `studies_needed`
    came in this step. `metrics` are those that are asked for and not Successful. `until` is when a time ends.
    """

    kind: NextGateKind
    roles: tuple[str, ...] = ()
    people: int = 0
    studies: int = 0
    studies_needed: int = 0
    metrics: tuple[str, ...] = ()
    until: datetime | None = None


def next_gate(case: Case) -> NextGate | None:
    """The gate before the rollout; None once it has ended. Of the case's world nothing is asked."""
    status = case.status
    match status.phase:
        case RolloutPhase.PROGRESSING:
            return _of_step(case)
        case RolloutPhase.PAUSED:
            return NextGate(NextGateKind.PERSON)
        case RolloutPhase.PROMOTING:
            return NextGate(NextGateKind.PROMOTION)
        case RolloutPhase.SURVEILLING:
            return NextGate(NextGateKind.TIME, until=surveilled_until(case))
        case RolloutPhase.ROLLING_BACK:
            return NextGate(NextGateKind.WAY_BACK)
    return None


def surveilled_until(case: Case) -> datetime | None:
    """When the surveillance after the promotion is over; None without one."""
    promoted_at, watched = case.status.promoted_at, case.plan.surveillance
    if promoted_at is None or watched is None:
        return None
    return promoted_at + timedelta(seconds=watched.duration_s)


def undecided(case: Case, names: Iterable[str]) -> tuple[str, ...]:
    """Those of the metrics that decide and are not Successful, in their order."""
    return tuple(one.metric for one in case.deciding(names) if one.phase is not MetricPhase.SUCCESSFUL)


def _of_step(case: Case) -> NextGate:
    match case.step:
        case None:
            return NextGate(NextGateKind.PROMOTION)
        case SetMirror() | SetWeight():
            return NextGate(NextGateKind.ROUTERS)
        case Pause() as pause:
            return _of_pause(case, pause)
        case Experiment() as experiment:
            ends = case.status.step_began_at + timedelta(seconds=experiment.duration_s)
            if case.now < ends:
                return NextGate(NextGateKind.TIME, metrics=undecided(case, experiment.metrics), until=ends)
            return NextGate(NextGateKind.EVIDENCE, metrics=undecided(case, experiment.metrics))
    return NextGate(NextGateKind.EVIDENCE, metrics=undecided(case, metrics_of(case.step)))


def _of_pause(case: Case, pause: Pause) -> NextGate:
    if pause.approval is not None:
        return _of_approval(case, pause.approval)
    if pause.until is None:
        ends = case.status.step_began_at + timedelta(seconds=pause.duration_s or 0)
        return NextGate(NextGateKind.TIME, until=ends)
    answered = case.evidence.studies_by_step.get(case.status.step, 0) if case.evidence else 0
    needed, metrics = pause.until.min_studies, undecided(case, pause.until.metrics)
    kind = NextGateKind.STUDIES if answered < needed else NextGateKind.EVIDENCE
    return NextGate(kind, studies=answered, studies_needed=needed, metrics=metrics)


def _of_approval(case: Case, rule: ApprovalRule) -> NextGate:
    given = case.approvals_of(case.status.step)
    absent = absent_roles(rule, given)
    people = max(rule.count - len({one.actor for one in given}), len(absent))
    return NextGate(NextGateKind.APPROVAL, roles=absent, people=people)
