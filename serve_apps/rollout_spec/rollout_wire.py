"""A ModelRollout: its steps and what bounds it, in Argo Rollouts' words where it has one."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, field_validator, model_validator

from canary.rollout.notice import NoticeKind, Notification
from canary.rollout.plan import OnDeadline, Participants
from canary.rollout.windows import Calendar
from canary.routing_table import AssignmentKey
from serve_apps.rollout_spec.units import Duration, Percent, Url, WindowText
from serve_apps.rollout_spec.wire_base import Metadata, TemplateRef, Wire

ONE_PROPERTY: Final[dict[str, JsonValue]] = {"minProperties": 1, "maxProperties": 1}


class SetMirrorWire(Wire):
    percentage: Percent = 100.0
    """The share of the studies that the candidate reads as a shadow."""
    replay_backlog: bool | Annotated[int, Field(ge=1, le=5000)] = False
    """Also read the newest study of so many patients whom the champion has answered before; true: of 500."""


class AnalysisWire(Wire):
    """Waits until every metric of its templates is Successful; after the promotion, watches for its duration."""

    templates: tuple[TemplateRef, ...]
    max_duration: Duration | None = None
    """Undecided for so long is Inconclusive, which pauses."""
    post_promotion: bool = False
    """The surveillance: only as the last step."""
    duration: Duration | None = None
    """How long the surveillance lasts; only with postPromotion."""

    @model_validator(mode="after")
    def has_what_its_kind_needs(self) -> Self:
        if not self.templates:
            raise ValueError("an analysis names at least one template")
        if self.post_promotion != (self.duration is not None):
            raise ValueError("duration goes with postPromotion: true, and is required there")
        if self.post_promotion and self.max_duration is not None:
            raise ValueError("maxDuration is for an analysis before the promotion")
        return self


class ApprovalWire(Wire):
    roles: tuple[str, ...] = ()
    """At least one person for each; nobody counts for two."""
    count: int | None = None
    """How many different people; left out, one for each role."""


class UntilWire(Wire):
    min_studies: int = 0
    """Studies that the candidate answered in this step."""
    evidence: tuple[TemplateRef, ...] = ()
    """Templates whose metrics must be Successful."""
    max_duration: Duration | None = None
    """Longer is Inconclusive, which pauses."""


class PauseWire(Wire):
    """One of the three."""

    model_config = ConfigDict(json_schema_extra=ONE_PROPERTY)
    duration: Duration | None = None
    approval: ApprovalWire | None = None
    until: UntilWire | None = None

    @model_validator(mode="after")
    def is_one_of_three(self) -> Self:
        if sum(one is not None for one in (self.duration, self.approval, self.until)) != 1:
            raise ValueError("a pause has one of duration, approval and until; approval waits for a person")
        return self


class ExperimentWire(Wire):
    """For a time the candidate answers a share beside a baseline of the same size; then the weight is as before."""

    weight: Percent
    duration: Duration
    analysis: AnalysisWire

    @model_validator(mode="after")
    def is_before_the_promotion(self) -> Self:
        if self.analysis.post_promotion or self.analysis.max_duration is not None:
            raise ValueError("the analysis of an experiment ends with it: it has templates only")
        return self


class StepWire(Wire):
    """One step: exactly one of the five."""

    model_config = ConfigDict(json_schema_extra=ONE_PROPERTY)
    set_mirror: SetMirrorWire | None = None
    set_weight: Percent | None = None
    """The share of the patients that the candidate answers, in percent."""
    analysis: AnalysisWire | None = None
    pause: PauseWire | None = None
    experiment: ExperimentWire | None = None

    @model_validator(mode="after")
    def is_one_of_five(self) -> Self:
        if len(self.model_fields_set) != 1 or getattr(self, next(iter(self.model_fields_set))) is None:
            raise ValueError("a step is one of setMirror, setWeight, analysis, pause and experiment")
        return self


class BackgroundWire(Wire):
    """Metrics that are watched whatever the step is; harm in one ends the rollout."""

    templates: tuple[TemplateRef, ...]
    starting_step: int = Field(default=0, ge=0)
    """The number of the step, from 0, with which watching begins."""


class ModelWire(Wire):
    name: str
    """The registered model in MLflow; the alias `challenger` names the candidate."""


class RegulatoryWire(Wire):
    live_exposure_allowed: bool = False
    """Whether patients may get what the candidate says. If not, only setMirror, analysis and pause are allowed."""
    change_record: str = ""
    """The change record of the site; required for live exposure."""
    pccp: str = ""
    """The predetermined change control plan, where there is one."""


class AssignmentWire(Wire):
    key: AssignmentKey = AssignmentKey.PATIENT
    """What stays together when patients are drawn."""
    slot: str = ""
    """The slot of a layer that the rollout keeps to, as `reading:0-50`."""

    @field_validator("slot")
    @classmethod
    def _names_a_slot(cls, slot: str) -> str:
        _ = Participants(slot=slot)
        return slot


class BudgetWire(Wire):
    studies: int | None = Field(default=None, ge=1)
    """Studies that the candidate may answer below a weight of 100 %."""
    adverse: int | None = Field(default=None, ge=1)
    """Adverse events among its studies, at any weight before the promotion."""


class FreezeWire(Wire):
    """Days on which no weight is raised and nothing is promoted, both ends included."""

    first: date = Field(alias="from")
    last: date = Field(alias="to")
    reason: str = ""

    @model_validator(mode="after")
    def ends_after_it_begins(self) -> Self:
        if self.first > self.last:
            raise ValueError("a freeze ends on or after the day on which it begins")
        return self


class WindowsWire(Wire):
    """When a weight may be raised and a version be promoted. Going back is always possible."""

    time_zone: str = "UTC"
    """An IANA name, as Europe/Paris."""
    allow: tuple[WindowText, ...] = ()
    """Left out: always."""
    freeze: tuple[FreezeWire, ...] = ()

    @model_validator(mode="after")
    def is_in_a_time_zone(self) -> Self:
        Calendar(self.time_zone)
        return self


class RollbackWindowWire(Wire):
    revisions: int = Field(default=1, ge=1)
    """`undo` reaches so many former champions without steps."""
    duration: Duration = "14d"
    """For so long after the promotion `undo` is possible, and harm found by the surveillance goes back by itself."""


class NotificationWire(Wire):
    """Told of changes by a signed webhook."""

    url: Url
    """An address on a host that the site allows."""
    events: tuple[NoticeKind, ...] = ()
    """Of which changes; left out: of all."""

    @model_validator(mode="after")
    def names_each_event_once(self) -> Self:
        Notification(self.url, self.events)
        return self


class GateWire(Wire):
    """An outside system that is asked by a signed POST."""

    url: Url
    """An address on a host that the site allows."""


class GatesWire(Wire):
    """Who has a say besides the evidence and the people here, in Flagger's words."""

    confirm_rollout: GateWire | None = None
    """Holds the first step until it says yes."""
    confirm_promotion: GateWire | None = None
    """Holds the promotion until it says yes."""
    rollback: GateWire | None = None
    """A yes leads back, at any time."""


class RolloutSpec(Wire):
    model: ModelWire
    steps: tuple[StepWire, ...] = Field(min_length=1)
    regulatory: RegulatoryWire = RegulatoryWire()
    assignment: AssignmentWire = AssignmentWire()
    strata: tuple[str, ...] = ()
    """Subgroups of every metric that names none itself."""
    background: BackgroundWire | None = None
    exposure_budget: BudgetWire = BudgetWire()
    windows: WindowsWire = WindowsWire()
    progress_deadline: Duration = "30d"
    """How long a step may take."""
    on_deadline: OnDeadline = OnDeadline.PAUSE
    """What follows then. It never promotes."""
    rollback_window: RollbackWindowWire = RollbackWindowWire()
    notifications: tuple[NotificationWire, ...] = ()
    """Who is told of changes; may change after the start."""
    gates: GatesWire = GatesWire()
    """Who has a say from outside; fixed once the rollout has begun."""


class RolloutWire(Wire):
    """One change from the champion to the challenger of a model."""

    api_version: Literal["serinus/v1alpha1"]
    kind: Literal["ModelRollout"]
    metadata: Metadata
    spec: RolloutSpec
