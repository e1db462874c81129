"""The snapshot as the router sees it: which versions are warm, which of them answers, pushed by the controller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from canary.routing_table import RoutingTable, Variant
from core.errors import ModelRefused, ModelUnavailable, UnknownModel
from models.spec import ModelSpec
from serve_apps.api.schemas import InferenceType
from serve_apps.application.messages import EligibleModel, ServedVersion

# `XR` is no DICOM modality, but what functions outside of radiology send for a plain film
MODALITIES: Mapping[str, tuple[str, ...]] = {"XR": ("CR", "DX"), "CR": ("CR", "DX"), "DX": ("CR", "DX")}


class VariantState(StrEnum):
    LOADING = "loading"
    WARM = "warm"
    ASLEEP = "asleep"
    FAILED = "failed"
    REFUSED = "refused"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class VariantStatus:
    """One version as `serinus status` shows it; `reason` says in words why it is not warm."""

    model: str
    version: str
    role: str
    state: VariantState
    digest: str | None = None
    reason: str | None = None
    regulatory_status: str | None = None


@dataclass(frozen=True, slots=True)
class RoutingSnapshot:
    """An immutable view with a generation; a router takes only a newer one.

    `wanted` are the models that have a champion in the registry; `tables` those whose champion is warm.
    `served` are the warm versions by application name; `registry` is "live" or "last known good". `barred` says
    of a model why its champion may not answer here; waiting would not help it. `alarms` say of a model, or of
    `routers`, that studies are not read as the tables say.
    """

    generation: int = -1
    registry: str = "unknown"
    wanted: frozenset[str] = frozenset()
    tables: Mapping[str, RoutingTable] = field(default_factory=dict)
    served: Mapping[str, ServedVersion] = field(default_factory=dict)
    variants: tuple[VariantStatus, ...] = ()
    barred: Mapping[str, str] = field(default_factory=dict)
    alarms: Mapping[str, str] = field(default_factory=dict)

    @property
    def cold(self) -> tuple[str, ...]:
        """Models whose champion cannot answer yet."""
        return tuple(sorted(self.wanted - self.tables.keys()))

    @property
    def champions(self) -> tuple[ServedVersion, ...]:
        return tuple(self.served[table.champion.app] for table in self.tables.values())

    def table(self, model: str) -> RoutingTable:
        """Who reads the model's studies; raises ModelUnavailable or UnknownModel."""
        if model in self.tables:
            return self.tables[model]
        if model in self.barred:
            raise ModelRefused(f"the model's champion may not answer: {self.barred[model]}")
        if model in self.wanted:
            raise ModelUnavailable("the model's champion is not warm yet")
        raise UnknownModel("no model of that name has a champion in the registry")

    def version(self, variant: Variant) -> ServedVersion:
        """The warm version of a variant; raises ModelUnavailable."""
        try:
            return self.served[variant.app]
        except KeyError:
            raise ModelUnavailable("the variant's version is not warm") from None

    def champion(self, model: str) -> ServedVersion:
        return self.version(self.table(model).champion)


def eligible_models(
    snapshot: RoutingSnapshot,
    model: str | None,
    modality: str | None = None,
    kind: InferenceType | None = None,
) -> tuple[EligibleModel, ...]:
    """The models to try, in order: the one that was named, or all that fit, triage first, then by name."""
    if model is not None:
        return (EligibleModel(model, snapshot.champion(model).spec.input.series),)
    fitting = [v for v in snapshot.champions if _fits(v.spec, modality, kind)]
    if not fitting:
        if snapshot.barred:
            raise ModelRefused("no champion may answer here; `serinus status` says why")
        if snapshot.cold:
            raise ModelUnavailable("no champion is warm yet")
        raise UnknownModel("no model in service reads this modality for this purpose")
    fitting.sort(key=lambda version: (not does_triage(version.spec), version.model))
    return tuple(EligibleModel(version.model, version.spec.input.series) for version in fitting)


def does_triage(spec: ModelSpec) -> bool:
    return bool(spec.output.priority)


def _fits(spec: ModelSpec, modality: str | None, kind: InferenceType | None) -> bool:
    wanted = MODALITIES.get(modality, (modality,)) if modality else None
    if wanted is not None and not set(wanted) & set(spec.input.series.modalities):
        return False
    return kind is not InferenceType.TRIAGE or does_triage(spec)
