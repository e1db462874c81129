"""The steps that a rollout may consist of. Times are in seconds, shares in basis points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from canary.routing_table import BASIS_POINTS


@dataclass(frozen=True, slots=True)
class SetMirror:
    """The candidate reads this share of the studies as a shadow. Done when the routers do so and it is ready.

    When it begins, a replay of the last studies of `replay_last` patients is asked for; 0: of none. Nothing waits for
    it.
    """

    share_bp: int
    kind: Literal["setMirror"] = "setMirror"
    replay_last: int = 0

    def __post_init__(self) -> None:
        if self.replay_last < 0:
            raise ValueError("a replay is of some patients, or of none")
        if not 0 < self.share_bp <= BASIS_POINTS:
            raise ValueError("a mirror lies above 0 and up to 100 %")


@dataclass(frozen=True, slots=True)
class SetWeight:
    """The candidate answers this share of the patients. Done when the routers were seen to do so."""

    weight_bp: int
    kind: Literal["setWeight"] = "setWeight"

    def __post_init__(self) -> None:
        if not 0 < self.weight_bp <= BASIS_POINTS:
            raise ValueError("a weight lies above 0 and up to 100 %")


@dataclass(frozen=True, slots=True)
class Analysis:
    """Waits until each of its metrics is Successful. Longer than `max_duration_s` is Inconclusive."""

    metrics: tuple[str, ...]
    max_duration_s: int | None = None
    kind: Literal["analysis"] = "analysis"


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """So many different people, and at least one for each role; nobody counts for two roles."""

    roles: tuple[str, ...]
    count: int

    def __post_init__(self) -> None:
        if not all(role.strip() for role in self.roles) or len(set(self.roles)) != len(self.roles):
            raise ValueError("roles have a name, and each stands here once")
        if self.count < max(1, len(self.roles)):
            raise ValueError("an approval needs a person for each role, and at least one")


@dataclass(frozen=True, slots=True)
class Until:
    """So many studies that the candidate answered in this step, and metrics that are Successful."""

    min_studies: int = 0
    metrics: tuple[str, ...] = ()
    max_duration_s: int | None = None

    def __post_init__(self) -> None:
        if self.min_studies < 0 or not (self.min_studies or self.metrics):
            raise ValueError("a pause waits until minStudies, evidence or both")


@dataclass(frozen=True, slots=True)
class Pause:
    """Waits for one of three: a time, people, or studies and evidence."""

    duration_s: int | None = None
    approval: ApprovalRule | None = None
    until: Until | None = None
    kind: Literal["pause"] = "pause"

    def __post_init__(self) -> None:
        if sum(one is not None for one in (self.duration_s, self.approval, self.until)) != 1:
            raise ValueError("a pause has one of duration, approval and until")


@dataclass(frozen=True, slots=True)
class Experiment:
    """For a time the candidate answers a share beside a baseline of the same size; then the weight is as before.

    Done when the time is over and its metrics are Successful; when they are not by then, it is Inconclusive.
    """

    weight_bp: int
    duration_s: int
    metrics: tuple[str, ...]
    kind: Literal["experiment"] = "experiment"

    def __post_init__(self) -> None:
        if not 0 < self.weight_bp <= BASIS_POINTS // 2:
            raise ValueError("an experiment's weight lies above 0 and up to 50 %: its baseline is as large")


Step = SetMirror | SetWeight | Analysis | Pause | Experiment


def metrics_of(step: Step) -> tuple[str, ...]:
    """The metrics that must be Successful for the step to be done."""
    if isinstance(step, Analysis | Experiment):
        return step.metrics
    return step.until.metrics if isinstance(step, Pause) and step.until is not None else ()
