"""A rollout as it was declared: its steps, the questions it asks, and what bounds it. Frozen values without YAML.

Times are in seconds, shares in basis points. A plan that contradicts itself cannot be built: ValueError.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from canary.evidence.metric import MetricSpec
from canary.rollout.gate import Gates
from canary.rollout.notice import Notification
from canary.rollout.plan_checks import step_faults
from canary.rollout.step import Experiment, SetMirror, SetWeight, Step, metrics_of
from canary.rollout.windows import Calendar
from canary.routing_table import BASIS_POINTS, AssignmentKey, Slot
from canary.slot_text import read_slot

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Background:
    """Metrics that are watched from a step on, whatever the step is."""

    metrics: tuple[str, ...] = ()
    starting_step: int = 0


@dataclass(frozen=True, slots=True)
class Surveillance:
    """Metrics that are watched after the promotion, with truth that comes late."""

    metrics: tuple[str, ...]
    duration_s: int


class OnDeadline(StrEnum):
    """What a rollout without progress does. It never promotes."""

    PAUSE = "pause"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Deadline:
    """How long a step may take."""

    after_s: int = 30 * DAY_S
    on: OnDeadline = OnDeadline.PAUSE


@dataclass(frozen=True, slots=True)
class ExposureBudget:
    """How many studies a candidate may answer below a weight of 100 %, and adverse events at any. None: no limit."""

    studies: int | None = None
    adverse: int | None = None


@dataclass(frozen=True, slots=True)
class RollbackWindow:
    """How far back one may go without steps: to one of the last `revisions` champions, for `duration_s` after the
    promotion. In that time a surveillance that finds harm goes back by itself.
    """

    revisions: int = 1
    duration_s: int = 14 * DAY_S


@dataclass(frozen=True, slots=True)
class Regulatory:
    """Whether patients may get what the candidate says, and under which change record."""

    live_exposure_allowed: bool = False
    change_record: str = ""
    pccp: str = ""

    def __post_init__(self) -> None:
        if self.live_exposure_allowed and not self.change_record.strip():
            raise ValueError("live exposure needs a changeRecord")


@dataclass(frozen=True, slots=True)
class Participants:
    """What stays together when patients are drawn, and the slot of a layer that the rollout keeps to, if any."""

    key: AssignmentKey = AssignmentKey.PATIENT
    slot: str = ""

    def __post_init__(self) -> None:
        _ = self.layer_slot

    @property
    def layer_slot(self) -> Slot | None:
        """The slot that its text names; None for all patients."""
        return read_slot(self.slot) if self.slot else None


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """The whole of it. `metrics` are all that its steps, background and surveillance name. `is_default`: nobody
    declared it, so that what people decide by hand goes before it.
    """

    name: str
    model: str
    steps: tuple[Step, ...]
    metrics: tuple[MetricSpec, ...]
    background: Background = field(default_factory=Background)
    surveillance: Surveillance | None = None
    deadline: Deadline = field(default_factory=Deadline)
    budget: ExposureBudget = field(default_factory=ExposureBudget)
    calendar: Calendar = field(default_factory=Calendar)
    rollback_window: RollbackWindow = field(default_factory=RollbackWindow)
    regulatory: Regulatory = field(default_factory=Regulatory)
    participants: Participants = field(default_factory=Participants)
    is_default: bool = False
    notifications: tuple[Notification, ...] = ()
    gates: Gates = field(default_factory=Gates)

    def __post_init__(self) -> None:
        names = [metric.name for metric in self.metrics]
        if len(set(names)) != len(names):
            raise ValueError("each metric of a plan has a name of its own")
        if unknown := sorted(set(_named(self)) - set(names)):
            raise ValueError(f"the plan names {', '.join(unknown)}, which no template has")
        if not 0 <= self.background.starting_step <= len(self.steps):
            raise ValueError("startingStep is the number of a step")
        if len({one.url for one in self.notifications}) != len(self.notifications):
            raise ValueError("each address of the notifications stands there once")
        if self.gates.confirm_promotion is not None and not self.promotes:
            raise ValueError("only what promotes has a gate confirmPromotion")
        for fault in step_faults(
            self.steps,
            self.metrics,
            live_exposure_allowed=self.regulatory.live_exposure_allowed,
            has_surveillance=self.surveillance is not None,
        ):
            raise ValueError(f"step {fault.step}: {fault.problem}")

    def metric(self, name: str) -> MetricSpec:
        return next(metric for metric in self.metrics if metric.name == name)

    @property
    def urls(self) -> tuple[str, ...]:
        """Every address that it names, each of which the site must allow."""
        return (*(one.url for one in self.notifications), *self.gates.urls)

    @property
    def promotes(self) -> bool:
        """Whether it ends in a promotion; else it is a silent trial, and a person decides what comes of it."""
        return any(isinstance(step, SetWeight) for step in self.steps)


def declared_weight_bp(plan: RolloutPlan, step: int) -> int:
    """The weight that the plan asks for while a step is under way; after the last step, too."""
    reached = plan.steps[: step + 1]
    if step < len(plan.steps) and isinstance(current := plan.steps[step], Experiment):
        return current.weight_bp
    return next((one.weight_bp for one in reversed(reached) if isinstance(one, SetWeight)), 0)


def declared_mirror_bp(plan: RolloutPlan, step: int) -> int:
    """The share of a shadow that the plan asks for; a challenger reads every study until a step says otherwise."""
    reached = plan.steps[: step + 1]
    return next((one.share_bp for one in reversed(reached) if isinstance(one, SetMirror)), BASIS_POINTS)


def declared_replay(plan: RolloutPlan, step: int) -> int:
    """Of how many patients the candidate is to have read studies of the past by that step; 0: of none."""
    reached = plan.steps[: step + 1]
    return max((one.replay_last for one in reached if isinstance(one, SetMirror)), default=0)


def _named(plan: RolloutPlan) -> Iterator[str]:
    yield from plan.background.metrics
    yield from plan.surveillance.metrics if plan.surveillance else ()
    for step in plan.steps:
        yield from metrics_of(step)
