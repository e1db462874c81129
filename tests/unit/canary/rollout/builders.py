"""Builders of plans, evidence and worlds: a test states only what matters to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from canary.evidence.metric import Hypothesis, MetricKind, MetricPhase, MetricSpec
from canary.rollout.advance import Transition, advance
from canary.rollout.nominate import begin
from canary.rollout.plan import (
    DAY_S,
    Background,
    Deadline,
    ExposureBudget,
    Regulatory,
    RollbackWindow,
    RolloutPlan,
    Surveillance,
)
from canary.rollout.seen import Approval, MetricSeen, RolloutEvidence, Seen, World
from canary.rollout.status import ConditionKind, RolloutStatus
from canary.rollout.step import Analysis, ApprovalRule, Pause, SetMirror, SetWeight, Step, Until
from canary.verdict import Verdict

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)
LIVE = Regulatory(True, "CR-0142")
MIRROR, PROVE = SetMirror(10_000), Analysis(("sensitivity",))
APPROVE = Pause(approval=ApprovalRule(("radiologist", "quality"), 2))
CANARY, STUDIES = SetWeight(500), Pause(until=Until(min_studies=10, metrics=("canary-failures",)))
WAIT, ALL = Pause(duration_s=DAY_S), SetWeight(10_000)
STEPS: tuple[Step, ...] = (MIRROR, PROVE, APPROVE, CANARY, STUDIES, WAIT, ALL)
RUNNING, SUCCESSFUL = MetricPhase.RUNNING, MetricPhase.SUCCESSFUL
FAILED, INCONCLUSIVE, ERROR = MetricPhase.FAILED, MetricPhase.INCONCLUSIVE, MetricPhase.ERROR


def sensitivity(**changes: Any) -> MetricSpec:
    declared: dict[str, Any] = {
        "name": "sensitivity",
        "kind": MetricKind.SENSITIVITY,
        "hypothesis": Hypothesis.NON_INFERIORITY,
        "margin": 0.05,
        "justification": "two readers differ by that much",
    }
    return MetricSpec(**declared | changes)


def guardrail(name: str = "canary-failures", **changes: Any) -> MetricSpec:
    return MetricSpec(**{"name": name, "kind": MetricKind.CANARY_FAILURES} | changes)


METRICS = (
    sensitivity(),
    guardrail(),
    guardrail("late-truth", kind=MetricKind.SHADOW_FAILURES),
    guardrail("latency", kind=MetricKind.LATENCY, dry_run=True),
)


def plan(*steps: Step, **changes: Any) -> RolloutPlan:
    """Live exposure is allowed, canary-failures is watched from the first step on, late truth after the promotion."""
    declared: dict[str, Any] = {
        "name": "chest",
        "model": "chest-ct",
        "steps": steps or STEPS,
        "metrics": METRICS,
        "background": Background(("canary-failures", "latency")),
        "surveillance": Surveillance(("late-truth",), 90 * DAY_S) if not steps or ALL in steps else None,
        "deadline": Deadline(30 * DAY_S),
        "budget": ExposureBudget(studies=200, adverse=5),
        "rollback_window": RollbackWindow(revisions=2, duration_s=14 * DAY_S),
        "regulatory": LIVE,
    }
    return RolloutPlan(**declared | changes)


def evidence(run: int = 1, **phases: MetricPhase) -> RolloutEvidence:
    """Metrics by their names with `_` for `-`; all others that the plan names are still running, with data."""
    named = {name.replace("_", "-"): phase for name, phase in phases.items()}
    all_phases = {metric.name: RUNNING for metric in METRICS} | named
    return RolloutEvidence(
        run=run,
        metrics={name: MetricSeen(name, phase, f"it is {phase}", 50) for name, phase in all_phases.items()},
        sample_ratio=Verdict.SUCCESSFUL,
    )


GOOD = evidence(sensitivity=SUCCESSFUL, canary_failures=SUCCESSFUL)


def world(**changes: Any) -> World:
    """Version 1 is champion, 2 the challenger and a ready shadow; the routers do what the table says."""
    seen: dict[str, Any] = {
        "champion": "1",
        "challenger": "2",
        "shadow_ready": True,
        "data_plane": Verdict.SUCCESSFUL,
        "answering": "1",
        "is_drained": True,
    }
    return World(**seen | changes)


def approvals(*actors_and_roles: str, step: int = 2, run: int = 1) -> tuple[Approval, ...]:
    """Each as `actor:role`."""
    return tuple(
        Approval(run, step, role, actor, NOON)
        for actor, _, role in (one.partition(":") for one in actors_and_roles)
    )


BOTH = approvals("ada:radiologist", "bob:quality")


def seen(given: RolloutEvidence | None = GOOD, **changes: Any) -> Seen:
    """`approvals` and what differs in the world."""
    given_approvals = changes.pop("approvals", ())
    return Seen(world(**changes), given, given_approvals)


def begun(declared: RolloutPlan | None = None, **changes: Any) -> RolloutStatus:
    return replace(begin(declared or plan(), "2", "1", run=1, now=NOON), **changes)


def tick(declared: RolloutPlan, status: RolloutStatus, what: Seen, now: datetime = NOON) -> Transition:
    return advance(declared, status, what, now)


PLAN = plan()
ANSWERED: RolloutEvidence = replace(GOOD, exposed_studies=12, studies_by_step={4: 12})


def at(step: int, **changes: Any) -> RolloutStatus:
    """The plan's status at a step, with the weight that it has there."""
    weight_bp = {4: 500, 5: 500, 6: 10_000, 7: 10_000}.get(step, 0)
    return begun(PLAN, **{"step": step, "weight_bp": weight_bp} | changes)


def here(status: RolloutStatus, given: RolloutEvidence | None = ANSWERED, **changes: Any) -> Seen:
    """The world does what the status grants, and everything was approved."""
    return seen(given, **{"weight_bp": status.weight_bp, "approvals": BOTH} | changes)


def condition(status: RolloutStatus, kind: ConditionKind) -> bool:
    return next(one.holds for one in status.conditions if one.kind is kind)
