"""Who reads what now, as the controller published it and every Ingress, JobWorker and ShadowWorker keeps it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from canary.routing_table import RoutingTable, Variant
from core.errors import ModelRefused, ModelUnavailable, NotReady, UnknownModel
from models.spec import ModelSpec
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
    """One version as `serinus status` shows it: `reason` says why it is not warm, `limits` what bounds it.

    `replicas` says how many there are to be and why, `replicas_wanted` only how many.
    """

    model: str
    version: str
    role: str
    state: VariantState
    digest: str | None = None
    reason: str | None = None
    regulatory_status: str | None = None
    limits: str | None = None
    replicas: str | None = None
    replicas_wanted: int | None = None


@dataclass(frozen=True, slots=True, order=True)
class SnapshotVersion:
    """What orders snapshots: a controller's epoch, then the number of the snapshot within it."""

    epoch: int
    generation: int


@dataclass(frozen=True, slots=True)
class FreezeNotice:
    """Whether routing is frozen, as of the ledger's routing revision; None: not recorded in the ledger yet."""

    frozen: bool
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class RoutingSnapshot:
    """An immutable view with a version; a replica takes only a newer one. The empty one is what it starts with.

    `expected` are the models that have a champion in the registry. `tables` say who reads a model's studies.
    `endpoints` are the versions that tables name, by application name. `loading` are the models whose champion
    has no running replica now. `blocked` says of a model why its champion may not answer here: waiting would
    not help. `registry` is "live" or "last known good". `alarms` say of a model, or of a part of the platform,
    what is wrong, `conditions` what people asked for and does not hold now. `freeze` is what the ledger said when
    the tables were made.
    """

    epoch: int = 0
    generation: int = -1
    registry: str = "unknown"
    expected: frozenset[str] = frozenset()
    loading: frozenset[str] = frozenset()
    tables: Mapping[str, RoutingTable] = field(default_factory=dict)
    endpoints: Mapping[str, ServedVersion] = field(default_factory=dict)
    variants: tuple[VariantStatus, ...] = ()
    blocked: Mapping[str, str] = field(default_factory=dict)
    alarms: Mapping[str, str] = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)
    freeze: FreezeNotice = FreezeNotice(False, 0)

    @property
    def version(self) -> SnapshotVersion:
        return SnapshotVersion(self.epoch, self.generation)

    @property
    def is_empty(self) -> bool:
        """Whether this replica has taken no snapshot yet."""
        return self.generation < 0

    @property
    def is_frozen(self) -> bool:
        """Whether all traffic goes to the champions. The tables know what this replica was told since."""
        return any(table.frozen for table in self.tables.values()) if self.tables else self.freeze.frozen

    @property
    def not_ready(self) -> tuple[str, ...]:
        """Models whose champion cannot answer now."""
        return tuple(sorted((self.expected - self.tables.keys()) | self.loading))

    @property
    def champions(self) -> tuple[ServedVersion, ...]:
        return tuple(self.endpoints[table.champion.app] for table in self.tables.values())

    def table(self, model: str) -> RoutingTable:
        """Who reads the model's studies; raises NotReady, ModelRefused, ModelUnavailable or UnknownModel."""
        if model in self.tables:
            return self.tables[model]
        self.require_some()
        if model in self.blocked:
            raise ModelRefused(f"the model's champion may not answer: {self.blocked[model]}")
        if model in self.expected:
            raise ModelUnavailable("the model's champion is not warm yet")
        raise UnknownModel("no model of that name has a champion in the registry")

    def require_some(self) -> None:
        """Raise NotReady before the first snapshot: what a replica does not know yet is not unknown."""
        if self.is_empty:
            raise NotReady("this replica has no routing snapshot yet")

    def endpoint(self, variant: Variant) -> ServedVersion:
        """The version behind a variant; raises ModelUnavailable."""
        try:
            return self.endpoints[variant.app]
        except KeyError:
            raise ModelUnavailable("the variant's version is not warm") from None

    def champion(self, model: str) -> ServedVersion:
        return self.endpoint(self.table(model).champion)


def with_freeze(snapshot: RoutingSnapshot, *, frozen: bool) -> RoutingSnapshot:
    """The snapshot with every table frozen, or none: a freeze reaches a replica before the next snapshot does."""
    if all(table.frozen is frozen for table in snapshot.tables.values()):
        return snapshot
    tables = {model: replace(table, frozen=frozen) for model, table in snapshot.tables.items()}
    return replace(snapshot, tables=tables)


def with_loading(snapshot: RoutingSnapshot, missing: Collection[str]) -> RoutingSnapshot:
    """The snapshot where the champions whose applications are `missing` have yet to load."""
    loading = {model for model, table in snapshot.tables.items() if table.champion.app in missing}
    return replace(snapshot, loading=snapshot.loading | loading)


def eligible_models(
    snapshot: RoutingSnapshot, model: str | None, modality: str | None = None, *, triage_only: bool = False
) -> tuple[EligibleModel, ...]:
    """The models to try, in order: the one that was named, or all that fit, triage first, then by name."""
    if model is not None:
        return (EligibleModel(model, snapshot.champion(model).spec.input.series),)
    fitting = [v for v in snapshot.champions if _fits(v.spec, modality, triage_only=triage_only)]
    if not fitting:
        snapshot.require_some()
        if snapshot.blocked:
            raise ModelRefused("no champion may answer here; `serinus status` says why")
        if snapshot.not_ready:
            raise ModelUnavailable("no champion is warm yet")
        raise UnknownModel("no model in service reads this modality for this purpose")
    fitting.sort(key=lambda version: (not does_triage(version.spec), version.model))
    return tuple(EligibleModel(version.model, version.spec.input.series) for version in fitting)


def does_triage(spec: ModelSpec) -> bool:
    return bool(spec.output.priority)


def _fits(spec: ModelSpec, modality: str | None, *, triage_only: bool) -> bool:
    accepted = MODALITIES.get(modality, (modality,)) if modality else None
    if accepted is not None and not set(accepted) & set(spec.input.series.modalities):
        return False
    return not triage_only or does_triage(spec)
