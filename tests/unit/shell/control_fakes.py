"""Hand-written stand-ins for what the control loop talks to: MLflow, the model cache, Serve, the ledger, routers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from core.errors import LeadershipLost, RegistryUnavailable, UnknownModel
from ledger import ModelRouting
from registry.cache import CachedModel
from registry.client import ModelVersion, RegisteredModel
from registry.signing import DIGEST_TAG
from serve_apps.application.routing_snapshot import RoutingSnapshot, SnapshotVersion
from serve_apps.application.routing_state import Confirmation
from serve_apps.control.apply import AppSpec
from serve_apps.control.observe import AppState, AppStatus
from tests.unit.shell.builders import a_spec

MODEL = "ich-triage"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Clock:
    """Stands still until a test moves it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class FakeMlflow:
    """Models with aliases, versions with tags; `away` makes every call fail. Counts the calls."""

    def __init__(self) -> None:
        self.aliases: dict[str, dict[str, str]] = {}
        self.descriptions: dict[tuple[str, str], str] = {}
        self.model_descriptions: dict[str, str] = {}
        self.tags: dict[tuple[str, str], dict[str, str]] = {}
        self.away = False
        self.calls: list[str] = []

    def register(self, version: str, *aliases: str, model: str = MODEL, **tags: str) -> None:
        digest = f"digest-{version}"
        self.tags[model, version] = {DIGEST_TAG: digest, **tags}
        for alias in aliases:
            self.alias(alias, version, model)
        self.aliases.setdefault(model, {})

    def alias(self, alias: str, version: str, model: str = MODEL) -> None:
        self.aliases.setdefault(model, {})[alias] = version

    def models(self) -> Mapping[str, RegisteredModel]:
        self._called("models")
        return {name: self._model(name) for name in self.aliases}

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        self._called("versions")
        return tuple(self._version(n, v) for n, v in self.tags if n == name)

    def all_versions(self) -> Mapping[str, tuple[ModelVersion, ...]]:
        self._called("all_versions")
        names = {name for name, _ in self.tags}
        return {name: tuple(self._version(n, v) for n, v in self.tags if n == name) for name in names}

    def version(self, name: str, version: str) -> ModelVersion:
        self._called("version")
        if (name, version) not in self.tags:
            raise UnknownModel("no such version")
        return self._version(name, version)

    def model(self, name: str) -> RegisteredModel:
        self._called("model")
        if name not in self.aliases:
            raise UnknownModel("no such model")
        return self._model(name)

    def describe_version(self, name: str, version: str, description: str) -> None:
        self._called("describe_version")
        self.descriptions[name, version] = description

    def describe_model(self, name: str, description: str) -> None:
        self._called("describe_model")
        self.model_descriptions[name] = description

    def _model(self, name: str) -> RegisteredModel:
        return RegisteredModel(name, dict(self.aliases[name]), self.model_descriptions.get(name, ""))

    def _version(self, name: str, version: str) -> ModelVersion:
        tags, description = dict(self.tags[name, version]), self.descriptions.get((name, version), "")
        return ModelVersion(name, version, tags, description=description)

    def set_tag(self, name: str, version: str, key: str, value: str) -> None:
        self._called("set_tag")
        if (name, version) not in self.tags:
            raise UnknownModel("no such version")
        self.tags[name, version][key] = value

    def delete_tag(self, name: str, version: str, key: str) -> None:
        self._called("delete_tag")
        self.tags[name, version].pop(key, None)

    def fetch(self, name: str, version: str) -> CachedModel:
        """The model cache: verified files of a version."""
        self._called("fetch")
        if (name, version) not in self.tags:
            raise UnknownModel("MLflow has no such model, version or file")
        tags = dict(self.tags[name, version])
        artifact: Any = None  # nobody loads it here
        return CachedModel(name, version, tags[DIGEST_TAG], artifact, a_spec(name), tags, live=True)

    def _called(self, call: str) -> None:
        self.calls.append(call)
        if self.away:
            raise RegistryUnavailable("MLflow does not answer")


@dataclass
class FakeServe:
    """Applications by name. What is run starts; `settle` lets it come up. `refuses` are sentences by application."""

    apps: dict[str, AppStatus] = field(default_factory=dict)
    refuses: dict[str, str] = field(default_factory=dict)
    runs: list[AppSpec] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    looks: int = 0
    glances: int = 0
    gpu_looks: int = 0

    def overview(self) -> object:
        self.glances += 1
        return dict(self.apps)

    def statuses(self) -> Mapping[str, AppStatus]:
        self.looks += 1
        return dict(self.apps)

    def run(self, spec: AppSpec) -> None:
        name = spec.version.app_name
        if name in self.refuses:
            raise ValueError(self.refuses[name])
        self.runs.append(spec)
        self.apps.setdefault(name, AppStatus(AppState.STARTING))

    def delete(self, app_name: str) -> None:
        self.deleted.append(app_name)
        self.apps.pop(app_name, None)

    def has_gpu(self) -> bool:
        self.gpu_looks += 1
        return False

    def settle(self) -> None:
        self.apps = {name: AppStatus(AppState.RUNNING, replicas=1) for name in self.apps}

    @property
    def ran(self) -> list[str]:
        return [spec.version.app_name for spec in self.runs]


@dataclass
class Head:
    leader_epoch: int
    epoch: int = 0
    generation: int = 0
    routing_revision: int = 0
    frozen: bool = False
    renewed_at: datetime | None = NOON
    at: datetime = NOON


@dataclass
class Record:
    snapshot_json: str
    states_json: str
    epoch: int = 0
    generation: int = 0


@dataclass
class FakeControl:
    """`ledger.control`: the newest epoch leads. `error` is raised by every write."""

    leader_epoch: int = 0
    record: Record | None = None
    written: list[SnapshotVersion] = field(default_factory=list)
    error: Exception | None = None
    load_error: Exception | None = None
    revision: int = 0
    frozen: bool = False
    silent_for: timedelta = timedelta(0)

    def take_leadership(self, holder: str, at_least: int = 0) -> int:
        self.leader_epoch = max(self.leader_epoch + 1, at_least)
        return self.leader_epoch

    def renew_leadership(self, epoch: int) -> bool:
        return epoch == self.leader_epoch

    def publish(self, epoch: int, generation: int, snapshot_json: str, states_json: str) -> None:
        if self.error is not None:
            raise self.error
        if epoch != self.leader_epoch:
            raise LeadershipLost("a newer controller leads")
        self.record = Record(snapshot_json, states_json, epoch, generation)
        self.written.append(SnapshotVersion(epoch, generation))

    def load(self) -> Record | None:
        if self.load_error is not None:
            raise self.load_error
        return self.record

    def head(self) -> Head:
        at = NOON + self.silent_for
        return Head(self.leader_epoch, routing_revision=self.revision, frozen=self.frozen, at=at)


class FakeRouters:
    """The replicas of one deployment: they take what is newer, and one may be deaf."""

    def __init__(self, replicas: int = 2) -> None:
        self.replicas = replicas
        self.deaf = 0
        self.held = RoutingSnapshot()
        self.taken: list[RoutingSnapshot] = []

    async def publish(self, snapshot: RoutingSnapshot) -> tuple[Confirmation, ...]:
        if snapshot.version > self.held.version:
            self.held = snapshot
            self.taken.append(snapshot)
        holds = self.held.version >= snapshot.version
        confirmed = self.replicas - self.deaf if holds else 0
        return (Confirmation("JobWorker", confirmed, self.replicas, self.held.version),)

    async def freeze(self, notice: object) -> tuple[Confirmation, ...]:
        raise AssertionError("the controller freezes nobody")


class FakeRouting:
    """`ledger.routing`: what people decided, by model; each change is a revision."""

    def __init__(self) -> None:
        self.decided: dict[str, ModelRouting] = {}
        self.ended: list[tuple[str, str]] = []
        self.arrivals: list[tuple[str, ...]] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def decide(self, model: str = MODEL, **changes: Any) -> None:
        revision = self.decided[model].revision + 1 if model in self.decided else 1
        self.decided[model] = ModelRouting(model, **({"revision": revision} | changes))

    def all(self) -> Mapping[str, ModelRouting]:
        return dict(self.decided)

    def end_candidacy(self, model: str, version: str, expected_revision: int) -> bool:
        self.meanwhile()
        if self.decided[model].revision != expected_revision:
            return False
        self.ended.append((model, version))
        self.decide(model)
        return True

    def arrived(self, model: str, names: Sequence[str]) -> None:
        self.arrivals.append(tuple(names))
