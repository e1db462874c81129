"""The wire of rollouts: what a person declares and says, and what is told of a rollout."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from canary.evidence.metric import MetricPhase
from canary.rollout.status import ConditionKind, PauseCause, RolloutPhase
from serve_apps.api.schemas import NO_NUL, Name, Wire

MAX_SPEC = 64_000
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


class EvidenceOut(Wire):
    """What one metric says now."""

    metric: str
    phase: MetricPhase
    reason: str
    observed: int


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
    """A rollout with all that people need to follow it; events newest first. `next_gate` is the step under way."""

    next_gate: str | None = None
    conditions: tuple[ConditionOut, ...] = ()
    approvals: tuple[ApprovalOut, ...] = ()
    evidence: tuple[EvidenceOut, ...] = ()
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
