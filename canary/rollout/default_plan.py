"""The plan of a model whose challenger was set and that no spec names.

Shadow of every study, or of the share that a person set, until it is shown that the candidate is not inferior; two
people approve; then 5 %, 25 % and all patients; then a surveillance with late truth. Figures for a site of 400
studies a day, 10 % of them positive: a 100 % shadow shows non-inferiority of sensitivity by 5 points in 8 to 9 days,
and a canary of 5 % finds a broken build (1 % failures become 10 %) in a median of 32 of its studies; 60 of them find
it in 4 of 5 runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from canary.evidence.metric import Hypothesis, MetricKind, MetricSpec
from canary.rollout.plan import (
    DAY_S,
    Background,
    ExposureBudget,
    Participants,
    Regulatory,
    RolloutPlan,
    Surveillance,
)
from canary.rollout.step import Analysis, ApprovalRule, Pause, SetWeight, Step, Until
from canary.routing_table import BASIS_POINTS, AssignmentKey

ROLES: Final = ("radiologist", "quality")
MARGIN: Final = 0.05
JUSTIFICATION: Final = (
    "Serinus' engineering default of 5 points, about the difference between two readers of one film; no clinical"
    " claim: a site states its own margin and why"
)
_SHADOW: Final = ("sensitivity", "specificity")
_SURVEILLED_S: Final = 90 * DAY_S


@dataclass(frozen=True, slots=True)
class DefaultRollout:
    """Whether a challenger that no spec names begins a rollout, and whether that one may expose patients.

    `key` is what stays together when the site draws patients.
    """

    begins: bool = True
    live_exposure_allowed: bool = False
    change_record: str = ""
    key: AssignmentKey = AssignmentKey.PATIENT

    def plan(self, model: str) -> RolloutPlan:
        allowed = self.live_exposure_allowed
        found = default_plan(model, live_exposure_allowed=allowed, change_record=self.change_record)
        return replace(found, participants=Participants(self.key))


def default_plan(model: str, *, live_exposure_allowed: bool = False, change_record: str = "") -> RolloutPlan:
    """The plan for a model. Without live exposure it is the silent part alone: the shadow and the approvals."""
    return RolloutPlan(
        name=f"default-{model}",
        is_default=True,
        model=model,
        steps=(*_SILENT, *(_LIVE if live_exposure_allowed else ())),
        metrics=_metrics(live=live_exposure_allowed),
        background=Background(_background(live=live_exposure_allowed)),
        surveillance=Surveillance(_SHADOW, _SURVEILLED_S) if live_exposure_allowed else None,
        budget=ExposureBudget(studies=1_000, adverse=5),
        regulatory=Regulatory(live_exposure_allowed, change_record),
    )


_SILENT: Final[tuple[Step, ...]] = (
    Analysis(_SHADOW),
    Pause(approval=ApprovalRule(ROLES, len(ROLES))),
)
_LIVE: Final[tuple[Step, ...]] = (
    SetWeight(500),
    Pause(until=Until(min_studies=60, metrics=("canary-failures",), max_duration_s=14 * DAY_S)),
    SetWeight(2_500),
    Pause(duration_s=3 * DAY_S),
    SetWeight(BASIS_POINTS),
)


def _metrics(*, live: bool) -> tuple[MetricSpec, ...]:
    canary = (MetricSpec(name="canary-failures", kind=MetricKind.CANARY_FAILURES),) if live else ()
    return (
        *(_non_inferiority(MetricKind(name)) for name in _SHADOW),
        MetricSpec(name="shadow-failures", kind=MetricKind.SHADOW_FAILURES),
        MetricSpec(name="latency", kind=MetricKind.LATENCY, tolerance=0.2, dry_run=True),
        *canary,
    )


def _background(*, live: bool) -> tuple[str, ...]:
    return ("shadow-failures", "latency", *(("canary-failures",) if live else ()))


def _non_inferiority(kind: MetricKind) -> MetricSpec:
    return MetricSpec(
        name=kind.value,
        kind=kind,
        hypothesis=Hypothesis.NON_INFERIORITY,
        margin=MARGIN,
        justification=JUSTIFICATION,
        critical=True,
    )
