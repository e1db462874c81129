"""The wire: what callers send and what they get back. Pydantic only here and in settings."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from core.uid import MAX_UID_LENGTH, UID_PATTERN

Uid = Annotated[str, StringConstraints(pattern=UID_PATTERN, max_length=MAX_UID_LENGTH)]
VariantName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PriorityName(StrEnum):
    STAT = "stat"
    URGENT = "urgent"
    ROUTINE = "routine"
    BATCH = "batch"


class Output(StrEnum):
    JSON = "json"
    SR = "sr"
    SEG = "seg"


class JobSubmission(_Wire):
    """Read one study. `source` is the id of a configured source; an address in a request is refused."""

    study_uid: Uid
    source: Name
    series_uids: tuple[Uid, ...] = ()
    model: Name | None = Field(default=None, description="left out: the first model that can read the study")
    priority: PriorityName = PriorityName.ROUTINE
    outputs: tuple[Output, ...] = (Output.JSON, Output.SR)
    callback: str | None = Field(default=None, max_length=500, description="https address on an allowed host")
    context: dict[str, str] = Field(default_factory=dict, max_length=20, description="never logged")

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [{"study_uid": "2.25.1234567890", "source": "samples", "model": "ich-triage"}]
        },
    )


class InferenceType(StrEnum):
    TRIAGE = "triage"
    ANALYSIS = "analysis"


class InferCall(_Wire):
    """What an S3-triggered function sends, once per object of a study."""

    study_uid: Uid
    modality: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2,16}$")]
    s3_uri: Annotated[str, StringConstraints(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,62}/.+$", max_length=1100)]
    inference_type: InferenceType

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "study_uid": "2.25.1234567890",
                    "modality": "CT",
                    "s3_uri": "s3://incoming/study/slice-001.dcm",
                    "inference_type": "triage",
                }
            ]
        },
    )


class CodeOut(_Wire):
    value: str
    scheme: str
    meaning: str


class FindingOut(_Wire):
    concept: CodeOut
    presence: Literal["present", "absent", "indeterminate"]
    probability: float
    threshold: float
    urgency: str
    key_instance_uid: str | None = None


class MeasurementOut(_Wire):
    concept: CodeOut
    value: float
    unit: CodeOut


class BoxOut(_Wire):
    concept: CodeOut
    instance_uid: str
    rows: tuple[int, int]
    columns: tuple[int, int]


class ModelOut(_Wire):
    name: str
    version: str
    digest: str
    manufacturer: str
    research_only: bool


class ResultOut(_Wire):
    """One study's result, stamped with the version that really produced it."""

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
    note: str = Field(description="one unreviewed sentence for a worklist")
    input_digest: str
    sr_sop_instance_uid: str | None = None
    routing: dict[str, Any] = Field(default_factory=dict)
    escalations: tuple[dict[str, Any], ...] = Field(
        default=(),
        description="critical findings that another version saw and this one missed, or the reverse",
    )


class JobOut(_Wire):
    id: str
    state: str
    stage: str | None = None
    study_uid: str
    source: str
    model: str | None = None
    priority: str
    attempt: int
    created_at: datetime
    finished_at: datetime | None = None
    stages_s: dict[str, float] = Field(default_factory=dict)
    error: dict[str, Any] | None = None
    undelivered: tuple[str, ...] = ()
    links: dict[str, str] = Field(default_factory=dict)


class JobPage(_Wire):
    jobs: tuple[JobOut, ...]
    next_cursor: str | None = None


class CompleteOut(_Wire):
    released: int


class VariantOut(_Wire):
    model: str
    version: str
    role: str
    state: str
    digest: str | None = None
    reason: str | None = None
    regulatory_status: str | None = None


class ModelsOut(_Wire):
    generation: int
    registry: str
    site_policy: str = Field(description="`research`: versions may answer that nobody cleared")
    variants: tuple[VariantOut, ...]
    alarms: dict[str, str] = Field(
        default_factory=dict, description="by model: why its studies are not routed as its table says"
    )


class WeightIn(_Wire):
    """Share of the patients that the challenger reads, in basis points (1/10 000)."""

    version: Name
    weight_bp: int = Field(ge=0, le=10_000)


class ShadowIn(_Wire):
    """Share of the studies that the version behind a `shadow-…` alias reads in silence."""

    alias: Annotated[str, StringConstraints(pattern=r"^(challenger|shadow-[A-Za-z0-9_-]{1,60})$")]
    percent: int = Field(ge=0, le=100)


class SafetyNetIn(_Wire):
    """Share of the canary's studies that the champion reads too, in basis points."""

    share_bp: int = Field(ge=0, le=10_000)


class RuleIn(_Wire):
    """Send what matches to one variant before any draw; an empty condition accepts all, one must be set."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    variant: VariantName
    sites: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    scanners: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_a_condition(self) -> RuleIn:
        if not (self.sites or self.modalities or self.scanners):
            raise ValueError("a rule needs a condition")
        return self


class RulesIn(_Wire):
    rules: tuple[RuleIn, ...] = Field(max_length=100)


class PinIn(_Wire):
    patient_id: str = Field(min_length=1, max_length=64)
    variant: VariantName | None = None


class SlotIn(_Wire):
    """A share of a layer: tests in disjoint slots of one layer never share a patient, in any model."""

    layer: Name
    start: int = Field(ge=0, lt=10_000)
    stop: int = Field(gt=0, le=10_000)

    @model_validator(mode="after")
    def _has_room(self) -> SlotIn:
        if self.start >= self.stop:
            raise ValueError("a slot ends after its start")
        return self


class ABTestIn(_Wire):
    """Weights by alias in basis points, which sum to 10 000; `coverage_bp` of the patients take part."""

    weights_bp: dict[
        Annotated[str, StringConstraints(pattern=r"^arm-[A-Za-z0-9_-]{1,60}$")],
        Annotated[int, Field(gt=0, lt=10_000)],
    ] = Field(min_length=2, max_length=10)
    coverage_bp: int = Field(default=10_000, ge=0, le=10_000)
    slot: SlotIn | None = None


class FreezeIn(_Wire):
    reason: str = Field(min_length=3, max_length=200)
