"""The wire: what callers send and what they get back. Pydantic only here and in settings."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from core.priority import Priority
from core.uid import MAX_UID_LENGTH, UID_PATTERN
from serve_apps.application.jobs import InferenceType

Uid = Annotated[str, StringConstraints(pattern=UID_PATTERN, max_length=MAX_UID_LENGTH)]
VARIANT_PATTERN = (
    r"^[A-Za-z0-9_-]+$"  # what MLflow takes for an alias: each arm that can be tested can be pinned
)
VariantName = Annotated[str, StringConstraints(pattern=VARIANT_PATTERN, max_length=255)]
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]

MAX_DEADLINE_S = 86_400
NO_NUL = r"^[^\x00]*$"  # no database finds it, and PostgreSQL refuses to look
Address = Annotated[str, StringConstraints(pattern=NO_NUL, max_length=500)]
ContextName = Annotated[str, StringConstraints(pattern=NO_NUL, min_length=1, max_length=64)]
ContextValue = Annotated[str, StringConstraints(pattern=NO_NUL, max_length=1000)]


MAX_TIME = 40


def _is_iso(sent: object) -> object:
    """Pydantic would also take `1.5` for a second and a half of 1970; and a body may hold anything here."""
    if not isinstance(sent, str) or "T" not in sent.upper() or len(sent) > MAX_TIME:
        raise ValueError("no ISO 8601 time")
    return sent


IsoTime = Annotated[
    AwareDatetime,
    BeforeValidator(_is_iso, json_schema_input_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "maxLength": MAX_TIME}),
]


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Output(StrEnum):
    JSON = "json"
    SR = "sr"
    SEG = "seg"
    FAILURE_SR = "failure-sr"


class JobSubmission(Wire):
    """Read one study. `source` is the id of a configured source; an address in a request is refused."""

    study_uid: Uid
    source: Name
    series_uids: tuple[Uid, ...] = Field(default=(), max_length=1000)
    model: Name | None = Field(default=None, description="left out: the first model that can read the study")
    priority: Priority = Priority.ROUTINE
    outputs: tuple[Output, ...] = Field(
        default=(Output.JSON, Output.SR),
        max_length=len(Output),
        description="`failure-sr`: if no version can read the study, an SR in the archive that says so",
    )
    callback: Address | None = Field(default=None, description="https address on an allowed host")
    context: dict[ContextName, ContextValue] = Field(
        default_factory=dict,
        max_length=20,
        description="what you know of the study, as its ward: comes back with the result; never logged",
        json_schema_extra={"additionalProperties": False},
    )
    deadline_s: float | None = Field(
        default=None,
        strict=True,
        ge=1,
        le=MAX_DEADLINE_S,
        description="when you need the result, from its acceptance: a canary is waited for half of that at most",
    )
    force: bool = Field(
        strict=True, default=False, description="read and deliver, even what the same version has read before"
    )


class InferCall(Wire):
    """What an S3-triggered function sends, once per object of a study."""

    study_uid: Uid
    modality: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2,16}$")]
    s3_uri: Annotated[
        str, StringConstraints(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,62}/[^\x00-\x1f]+$", max_length=1100)
    ]
    inference_type: InferenceType


class CodeOut(Wire):
    value: str
    scheme: str
    meaning: str


class FindingOut(Wire):
    concept: CodeOut
    presence: Literal["present", "absent", "indeterminate"]
    probability: float
    threshold: float
    urgency: str
    key_instance_uid: str | None = None
    key_frame: int | None = None


class MeasurementOut(Wire):
    concept: CodeOut
    value: float
    unit: CodeOut


class BoxOut(Wire):
    concept: CodeOut
    instance_uid: str
    rows: tuple[int, int]
    columns: tuple[int, int]
    frame: int | None = None


class ModelOut(Wire):
    name: str
    version: str
    digest: str
    manufacturer: str
    research_only: bool


class InputCheckOut(Wire):
    """How the study compares with the version's reference set, whatever its header says."""

    verdict: Literal["in-distribution", "out-of-distribution", "unchecked"]
    distance: float | None = Field(default=None, description="in limits: above 1 the study is foreign")
    p_value: float | None = Field(
        default=None, description="the share of genuine studies that lie as far out, by the held-out ones"
    )
    unusual: tuple[str, ...] = Field(default=(), description="the measures of the image that differ most")


class ResultOut(Wire):
    """One study's result, stamped with the version that really produced it."""

    format: int = Field(default=1, description="version of this layout")
    study_uid: str
    series_uid: str
    model: ModelOut
    status: Literal["preliminary"] = "preliminary"
    disclaimer: str
    priority_score: int | None
    priority_flag: bool
    urgency: str
    findings: tuple[FindingOut, ...]
    measurements: tuple[MeasurementOut, ...] = ()
    boxes: tuple[BoxOut, ...] = ()
    features: tuple[float, ...] | None = None
    notes: tuple[str, ...] = ()
    input_check: InputCheckOut = Field(default=InputCheckOut(verdict="unchecked"))
    note: str = Field(description="one unreviewed sentence for a worklist")
    input_digest: str
    sr_sop_instance_uid: str | None = None
    routing: dict[str, Any] = Field(default_factory=dict)
    documents: tuple[str, ...] = Field(
        default=(), description="the DICOM objects that were made: `sr`, `seg`"
    )
    same_as: str | None = Field(
        default=None, description="the earlier job of this tenant that read the same, if one did"
    )
    context: dict[str, str] = Field(default_factory=dict, description="as the caller gave it")
    escalations: tuple[dict[str, Any], ...] = Field(
        default=(),
        description="critical findings that another version saw and this one missed, or the reverse",
    )


class JobOut(Wire):
    id: str
    tenant: str
    state: str
    stage: str | None = None
    study_uid: str
    source: str
    model: str | None = None
    priority: str
    priority_rule: str | None = Field(default=None, description="the rule of the site that changed it")
    context: dict[str, str] = Field(default_factory=dict, description="as the caller gave it")
    deadline: datetime | None = Field(default=None, description="when the caller needs the result")
    attempt: int
    created_at: datetime
    finished_at: datetime | None = None
    stages_s: dict[str, float] = Field(default_factory=dict)
    error: dict[str, Any] | None = None
    undelivered: tuple[str, ...] = ()
    same_as: str | None = Field(
        default=None, description="the job of this tenant whose reading answered this one"
    )
    links: dict[str, str] = Field(default_factory=dict)


class JobPage(Wire):
    jobs: tuple[JobOut, ...]
    next_cursor: str | None = None


class CompleteOut(Wire):
    released: int


class VariantOut(Wire):
    model: str
    version: str
    role: str
    state: str
    digest: str | None = None
    reason: str | None = None
    regulatory_status: str | None = None
    limits: str | None = Field(
        default=None, description="what a replica may take for a study and hold: 120 s, a third of memory"
    )
    replicas: str | None = Field(
        default=None,
        description="how many there are to be, from which least to which most, and why: `3 of 1–4: …`",
    )
    replicas_wanted: int | None = Field(default=None, description="how many replicas there are to be")


class FrozenOut(Wire):
    """All traffic goes to the champions; who threw the switch is null while the ledger has not recorded it."""

    by: str | None = None
    reason: str | None = None
    since: datetime | None = None


class ModelsOut(Wire):
    generation: int
    registry: str
    site_policy: str = Field(description="`research`: versions may answer that nobody cleared")
    variants: tuple[VariantOut, ...]
    alarms: dict[str, str] = Field(
        default_factory=dict,
        description="by model, or by a part of the platform: why studies are not read as the tables say",
    )
    conditions: dict[str, str] = Field(
        default_factory=dict,
        description="by model and subject: what people asked for and does not hold now, as a weight that waits",
    )
    frozen: FrozenOut | None = Field(default=None, description="the freeze in force, or null")


class PendingShadowsOut(Wire):
    """How many studies a version has still to read as a shadow or as the safety net."""

    model: str
    version: str
    shadows: int


class DeadLetterOut(Wire):
    """A delivery that was given up. `destination` is the source or host that it was for; a notice has no job."""

    job_id: str
    kind: str
    document: str | None
    destination: str
    attempts: int
    error: str | None
    ended_at: datetime


class QueueOut(Wire):
    """Jobs by state, and what waits or was given up beside them."""

    waiting: int = 0
    queued: int = 0
    running: int = 0
    storing: int = 0
    completed: int = 0
    failed: int = 0
    canceled: int = 0
    pending_shadows: tuple[PendingShadowsOut, ...] = ()
    oldest_shadow_s: float | None = Field(default=None, description="age of the oldest pending shadow")
    dead_letters: tuple[DeadLetterOut, ...] = Field(default=(), description="the newest 100")
