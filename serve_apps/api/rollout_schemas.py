"""The wire of rollouts: what a person declares and says, and what is told of a rollout."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from canary.evidence.metric import Hypothesis, MetricKind, MetricPhase
from canary.rollout.next_gate import NextGateKind
from canary.rollout.status import ConditionKind, PauseCause, RolloutPhase
from serve_apps.api.schemas import NO_NUL, Name, Wire

MAX_SPEC = 64_000
MAX_RUN = 2**31 - 1  # that the ledger can hold
Role = Annotated[str, StringConstraints(pattern=NO_NUL, min_length=1, max_length=64)]
Note = Annotated[str, StringConstraints(pattern=NO_NUL, max_length=500)]
SpecText = Annotated[str, StringConstraints(pattern=NO_NUL, min_length=1, max_length=MAX_SPEC)]


class RolloutIn(Wire):
    """A rollout with its templates, as the text of its file: YAML, of which JSON is a part."""

    spec: SpecText


class VerbIn(Wire):
    """What goes with a verb: `role` with approve, `full` with promote, `to` with undo; `note` says why."""

    role: Role | None = Field(default=None, description="in which the caller approves")
    full: bool = Field(default=False, description="leave out the steps that are left")
    to: Name | None = Field(default=None, description="the former champion; left out: the last one")
    note: Note = ""


class ConditionOut(Wire):
    kind: ConditionKind
    holds: bool
    reason: str = ""


class ApprovalOut(Wire):
    step: int
    role: str
    actor: str
    at: datetime


class EventOut(Wire):
    """One change: who or what moved the rollout, where to, and why."""

    number: int
    at: datetime
    actor: str
    phase: RolloutPhase
    step: int
    weight_bp: int
    reason: str


class StratumOut(Wire):
    """A subgroup of a metric's studies. Failed: the candidate is worse in it."""

    stratum: str
    phase: MetricPhase
    observed: int
    log10_e_harm: float


class EvidenceOut(Wire):
    """What one metric says now. The log10 of an e-value is null where a metric has none.

    It fails once `log10_e_harm` has reached its limit. Non-inferiority is shown while `log10_e_non_inferiority` is
    at its limit or above. A guardrail, which shows none, is Successful from `min_observations` on.
    """

    metric: str
    phase: MetricPhase
    reason: str
    observed: int
    kind: MetricKind
    hypothesis: Hypothesis
    margin: float | None = None
    dry_run: bool = False
    critical: bool = False
    min_observations: int | None = None
    candidate_events: int = Field(default=0, description="failures or wrong answers of the candidate")
    champion_events: int = Field(default=0, description="failures or wrong answers of the champion")
    log10_e_harm: float | None = None
    log10_e_harm_limit: float | None = None
    log10_e_non_inferiority: float | None = None
    log10_e_non_inferiority_limit: float | None = None
    worst_stratum: StratumOut | None = None


class PlanStepOut(Wire):
    """One step of the plan, in words; numbered from 0."""

    number: int
    kind: str
    told: str


class GateOut(Wire):
    """What the rollout waits for. `roles`: in which nobody approved yet; `people`: how many more have to.

    `studies` of `studies_needed` came in this step; `metrics` are asked for and not Successful.
    """

    kind: NextGateKind
    roles: tuple[str, ...] = ()
    people: int = 0
    studies: int = 0
    studies_needed: int = 0
    metrics: tuple[str, ...] = ()
    until: datetime | None = None


class ExposureOut(Wire):
    """What the candidate answered below a weight of 100 %, and adverse events at any; a limit is null without one."""

    studies: int
    studies_limit: int | None = None
    adverse: int
    adverse_limit: int | None = None


class ExpectationOut(Wire):
    """`at` is null where no date can be told; `reason` says why not, or what has to be so for the date."""

    at: datetime | None = None
    reason: str


class ExpectedOut(Wire):
    """When the step under way ends, and when the version is promoted at the earliest."""

    step: ExpectationOut
    promotion: ExpectationOut


class RolloutOut(Wire):
    """Where a rollout stands. `reason` says what it waits for; `step` counts from 0, `steps` is their number."""

    model: str
    name: str
    run: int
    candidate: str
    stable: str
    phase: RolloutPhase
    reason: str
    step: int
    steps: int
    weight_bp: int
    mirror_bp: int
    began_at: datetime
    progressed_at: datetime
    pause: PauseCause | None = None
    promoted_at: datetime | None = None


class RolloutsOut(Wire):
    rollouts: tuple[RolloutOut, ...]


class RolloutDetailOut(RolloutOut):
    """A rollout with all that people need to follow it; events newest first. `next_gate` is the step under way.

    `exposure` is null where the evidence cannot be computed now. `studies_per_day` came since the run began, over the
    last week at most; null in its first hour and after its end.
    """

    step_began_at: datetime
    plan_steps: tuple[PlanStepOut, ...] = ()
    next_gate: str | None = None
    gate: GateOut | None = None
    conditions: tuple[ConditionOut, ...] = ()
    approvals: tuple[ApprovalOut, ...] = ()
    evidence: tuple[EvidenceOut, ...] = ()
    exposure: ExposureOut | None = None
    studies_per_day: float | None = None
    expected: ExpectedOut
    events: tuple[EventOut, ...] = ()


class PackRecordOut(Wire):
    """One link of the chain: `digest` is SHA-256 over kind, content and the digest before it."""

    kind: str
    content: dict[str, Any]
    previous: str
    digest: str


class PackSignatureOut(Wire):
    """The site's signature over the pack's digest; both in hex."""

    algorithm: str
    public_key: str
    value: str


class EvidencePackOut(Wire):
    """All that is known of one run of a rollout. `digest` is the last record's: who keeps it notices any change."""

    format: str
    records: tuple[PackRecordOut, ...]
    digest: str
    signature: PackSignatureOut | None
