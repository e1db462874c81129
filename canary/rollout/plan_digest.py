"""What of a plan is fixed once a rollout has begun, as a digest and as sentences about what changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any

from canary.evidence.metric import MetricSpec
from canary.rollout.gate import Gates
from canary.rollout.plan import Deadline, ExposureBudget, RollbackWindow, RolloutPlan
from canary.rollout.step import SetMirror
from canary.rollout.windows import Calendar
from core.codec import to_json

REMEMBERED_PLANS = 2_048


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """One plan, compared by identity: to compare it by value costs as much as to write it."""

    plan: RolloutPlan

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.plan is other.plan

    def __hash__(self) -> int:
        return id(self.plan)


def plan_digest(plan: RolloutPlan) -> str:
    """The digest of what may not change after the start: steps, metrics with their margins, who takes part, the
    change record, gates. Windows, freezes, deadline, budget, rollback window and notifications may.
    """
    return _digest(_Same(plan))


@lru_cache(maxsize=REMEMBERED_PLANS)
def _digest(same: _Same) -> str:
    plan = _fixed(same.plan)
    return sha256(to_json(RolloutPlan, plan, without=_younger(plan)).encode()).hexdigest()


def _younger(plan: RolloutPlan) -> Mapping[str, Any]:
    """Fields that came after the first rollouts had begun: a plan without them has the digest that it had then."""
    absent = {"notifications": True, "gates": plan.gates == Gates(), "is_default": not plan.is_default}
    return {
        **{name: True for name, is_absent in absent.items() if is_absent},
        "steps": {
            number: {"replay_last"}
            for number, step in enumerate(plan.steps)
            if isinstance(step, SetMirror) and not step.replay_last
        },
        "metrics": {number: _absent_of(metric) for number, metric in enumerate(plan.metrics)},
    }


def _absent_of(metric: MetricSpec) -> set[str]:
    absent = {"concept": metric.concept is None, "truth_sets": not metric.truth_sets}
    return {name for name, is_absent in absent.items() if is_absent}


def _fixed(plan: RolloutPlan) -> RolloutPlan:
    return replace(
        plan,
        deadline=Deadline(),
        budget=ExposureBudget(),
        calendar=Calendar(),
        rollback_window=RollbackWindow(),
        notifications=(),
    )


def refused_changes(before: RolloutPlan, after: RolloutPlan) -> tuple[str, ...]:
    """Why a plan may not take the place of the one with which a rollout began, a sentence each; empty if it may."""
    return tuple(_refused(before, after))


def _refused(before: RolloutPlan, after: RolloutPlan) -> Iterator[str]:
    if before.model != after.model:
        yield f"the plan is for {after.model}, and the rollout is one of {before.model}"
    if before.steps != after.steps:
        yield "no step changes after the start"
    yield from _of_metrics(before, after)
    for name in ("background", "surveillance", "regulatory", "participants", "gates"):
        if getattr(before, name) != getattr(after, name):
            yield f"{name} does not change after the start"


def _of_metrics(before: RolloutPlan, after: RolloutPlan) -> Iterator[str]:
    then, now = ({metric.name: metric for metric in plan.metrics} for plan in (before, after))
    for name in sorted(then.keys() ^ now.keys()):
        yield f"{name} was {'taken away' if name in then else 'added'}: no metric comes or goes after the start"
    for name in sorted(then.keys() & now.keys()):
        if then[name] != now[name]:
            yield _changed(then[name], now[name])


def _changed(before: MetricSpec, after: MetricSpec) -> str:
    if before.margin != after.margin:
        changed = f"the margin of {before.name} was {before.margin} and is {after.margin}"
        return f"{changed}: no margin changes after the start"
    return f"{before.name} does not change after the start"
