"""The wire of routing: what people set, and what they are told of a freeze."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from serve_apps.api.schemas import NO_NUL, Name, VariantName, Wire

DAY_S = 24 * 3600
WEEK_S = 7 * DAY_S
MOST_EXACT = 2**53 - 1  # a JSON number that every parser reads as the same integer (RFC 8259 6)


def _is_number(value: object) -> object:
    """`"5"` and `true` are no numbers; 5.0 is one, and a whole one."""
    if isinstance(value, str | bool):
        raise PydanticCustomError("int_type", "no number")
    return value


IS_NUMBER = BeforeValidator(_is_number)  # stands last: what stands before it is in the description
Share = Annotated[int, Field(ge=0, le=10_000), IS_NUMBER]
PartialShare = Annotated[int, Field(ge=1, le=9_999), IS_NUMBER]
Percent = Annotated[int, Field(ge=0, le=100), IS_NUMBER]
Revision = Annotated[int, Field(ge=0, le=MOST_EXACT), IS_NUMBER]
Seconds = Annotated[int, Field(ge=60, le=30 * DAY_S), IS_NUMBER]
SlotStart = Annotated[int, Field(ge=0, le=9_999), IS_NUMBER]
SlotStop = Annotated[int, Field(ge=1, le=10_000), IS_NUMBER]
Reason = Annotated[str, StringConstraints(pattern=NO_NUL, min_length=3, max_length=200)]
PatientId = Annotated[str, StringConstraints(pattern=NO_NUL, min_length=1, max_length=64)]
Value = Annotated[str, StringConstraints(pattern=NO_NUL, min_length=1, max_length=64)]
Values = Annotated[tuple[Value, ...], Field(max_length=100)]


class InAdvance(Wire):
    """A change may name what does not exist yet, if that is said: then it expires unless it comes to exist."""

    in_advance: bool = Field(strict=True, default=False, description="it may name what does not exist yet")
    expires_s: Seconds = Field(default=WEEK_S, description="only for what is set in advance")

    @property
    def expires_in(self) -> timedelta | None:
        return timedelta(seconds=self.expires_s) if self.in_advance else None


class WeightIn(InAdvance):
    """Share of the patients that the challenger reads, in basis points (1/10 000)."""

    version: Name
    weight_bp: Share
    expected_revision: Revision | None = Field(
        default=None,
        description="409 if the model's routing is of another revision by now",
    )


class ShadowIn(InAdvance):
    """Share of the studies that the version behind a `shadow-…` alias reads without answering."""

    alias: Annotated[str, StringConstraints(pattern=r"^(challenger|shadow-[A-Za-z0-9_-]+)$", max_length=255)]
    percent: Percent


class SafetyNetIn(Wire):
    """Share of the canary's studies that the champion reads too, in basis points."""

    share_bp: Share


class RuleIn(Wire):
    """Send what matches to one variant before any draw; an empty condition accepts all, one must be set."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [condition], "properties": {condition: {"minItems": 1}}}
                for condition in ("sites", "modalities", "scanners")
            ]
        }
    )

    name: Annotated[str, StringConstraints(pattern=NO_NUL, min_length=1, max_length=100)]
    variant: VariantName
    sites: Values = ()
    modalities: Values = ()
    scanners: Values = ()

    @model_validator(mode="after")
    def _has_a_condition(self) -> RuleIn:
        if not (self.sites or self.modalities or self.scanners):
            raise ValueError("a rule needs a condition")
        return self


class RulesIn(InAdvance):
    rules: tuple[RuleIn, ...] = Field(max_length=100)


class PinIn(InAdvance):
    patient_id: PatientId
    variant: VariantName | None = None


class SlotIn(Wire):
    """A share of a layer, in basis points: experiments in disjoint slots of one layer never share a patient, in any
    model.
    """

    layer: Name
    start: SlotStart
    stop: SlotStop

    @model_validator(mode="after")
    def _has_room(self) -> SlotIn:
        if self.start >= self.stop:
            raise ValueError("a slot ends after its start")
        return self


class LayerIn(Wire):
    """The slot that the model's rollouts have; null: all patients."""

    slot: SlotIn | None
    expected_revision: Revision | None = Field(
        default=None, description="409 if the model's routing is of another revision by now"
    )


class ABTestIn(Wire):
    """Weights by alias in basis points, which sum to 10 000; `coverage_bp` of the patients take part."""

    weights_bp: dict[
        Annotated[str, StringConstraints(pattern=r"^arm-[A-Za-z0-9_-]+$", max_length=255)],
        PartialShare,
    ] = Field(min_length=2, max_length=10, json_schema_extra={"additionalProperties": False})
    coverage_bp: Share = 10_000
    slot: SlotIn | None = None


class FreezeIn(Wire):
    reason: Reason


class ConfirmedOut(Wire):
    """How many replicas of a deployment obey."""

    deployment: str
    replicas: int


class FreezeOut(Wire):
    """Whether routing is frozen, whether the ledger has recorded that, and whose replicas confirmed it."""

    frozen: bool
    recorded: bool
    confirmed: tuple[ConfirmedOut, ...]
    unconfirmed: int = Field(description="live replicas that did not confirm in time")
