"""What stands between a rollout and its next move."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from canary.evidence.metric import MetricPhase
from canary.rollout.case import Case
from canary.rollout.next_gate import NextGate, NextGateKind, next_gate
from canary.rollout.plan import RolloutPlan
from canary.rollout.seen import Seen
from canary.rollout.status import PauseCause, RolloutPhase, RolloutStatus
from canary.rollout.step import Experiment
from tests.unit.canary.rollout.builders import (
    ALL,
    ANSWERED,
    BOTH,
    DAY,
    GOOD,
    NOON,
    PLAN,
    PROVE,
    approvals,
    at,
    begun,
    evidence,
    plan,
    seen,
)


def gate(
    status: RolloutStatus,
    what: Seen | None = None,
    declared: RolloutPlan = PLAN,
    later: timedelta = timedelta(0),
) -> NextGate | None:
    return next_gate(Case(declared, status, what or seen(), NOON + later))


def test_each_step_tells_what_it_waits_for() -> None:
    kinds = [gate(at(step)) for step in range(8)]
    assert [one.kind for one in kinds if one] == [
        NextGateKind.ROUTERS,
        NextGateKind.EVIDENCE,
        NextGateKind.APPROVAL,
        NextGateKind.ROUTERS,
        NextGateKind.STUDIES,
        NextGateKind.TIME,
        NextGateKind.ROUTERS,
        NextGateKind.PROMOTION,
    ]


def test_evidence_names_the_metrics_that_are_still_asked_for() -> None:
    open_ = gate(at(1), seen(evidence()))
    assert open_ == NextGate(NextGateKind.EVIDENCE, metrics=("sensitivity",))
    shown = gate(at(1), seen(evidence(sensitivity=MetricPhase.SUCCESSFUL)))
    assert shown == NextGate(NextGateKind.EVIDENCE)


@pytest.mark.parametrize(
    ("given", "roles", "people"),
    [
        ((), ("radiologist", "quality"), 2),
        (("ada:radiologist",), ("quality",), 1),
        (("ada:radiologist", "ada:quality"), (), 1),  # nobody counts for two roles
        (("ada:radiologist", "bob:quality"), (), 0),
    ],
)
def test_an_approval_names_the_roles_and_people_that_are_missing(
    given: tuple[str, ...], roles: tuple[str, ...], people: int
) -> None:
    found = gate(at(2), seen(approvals=approvals(*given)))
    assert found == NextGate(NextGateKind.APPROVAL, roles=roles, people=people)


def test_approvals_of_another_step_do_not_count() -> None:
    found = gate(at(2), seen(approvals=tuple(replace(one, step=5) for one in BOTH)))
    assert found is not None
    assert found.people == 2


def test_studies_stand_before_the_evidence_of_the_same_step() -> None:
    few = replace(ANSWERED, studies_by_step={4: 9})
    assert gate(at(4), seen(few)) == NextGate(NextGateKind.STUDIES, studies=9, studies_needed=10)
    enough = replace(evidence(), studies_by_step={4: 10})
    assert gate(at(4), seen(enough)) == NextGate(
        NextGateKind.EVIDENCE, studies=10, studies_needed=10, metrics=("canary-failures",)
    )
    assert gate(at(4), seen(None)) == NextGate(
        NextGateKind.STUDIES, studies_needed=10, metrics=("canary-failures",)
    )


def test_a_time_ends_after_its_duration() -> None:
    assert gate(at(5)) == NextGate(NextGateKind.TIME, until=NOON + DAY)


def test_an_experiment_waits_for_its_time_and_then_for_its_evidence() -> None:
    declared = plan(PROVE, Experiment(200, 86_400, ("canary-failures",)), ALL)
    status = begun(declared, step=1, weight_bp=200)
    waits = NextGate(NextGateKind.TIME, metrics=("canary-failures",), until=NOON + DAY)
    assert gate(status, seen(evidence()), declared) == waits
    assert gate(status, seen(evidence()), declared, DAY) == NextGate(
        NextGateKind.EVIDENCE, metrics=("canary-failures",)
    )
    assert gate(status, seen(GOOD), declared, DAY) == NextGate(NextGateKind.EVIDENCE)


def test_phases_beside_the_steps_have_gates_of_their_own() -> None:
    paused = begun(phase=RolloutPhase.PAUSED, pause=PauseCause.PERSON)
    promoting = at(7, phase=RolloutPhase.PROMOTING)
    watched = at(7, weight_bp=0, phase=RolloutPhase.SURVEILLING, promoted_at=NOON)
    back = begun(phase=RolloutPhase.ROLLING_BACK)
    assert gate(paused) == NextGate(NextGateKind.PERSON)
    assert gate(promoting) == NextGate(NextGateKind.PROMOTION)
    assert gate(watched) == NextGate(NextGateKind.TIME, until=NOON + 90 * DAY)
    assert gate(back) == NextGate(NextGateKind.WAY_BACK)


@pytest.mark.parametrize("phase", [RolloutPhase.FAILED, RolloutPhase.SUPERSEDED, RolloutPhase.COMPLETED])
def test_what_has_ended_waits_for_nothing(phase: RolloutPhase) -> None:
    assert gate(begun(phase=phase)) is None
