"""What is true now: MLflow's aliases, the admitted versions, the phases of their applications.

An idle observation costs next to nothing, however many versions there are. MLflow is asked for aliases and for tags
every `registry_poll_s`, for tags less often if that takes long; its embedded server only when something was
written to its database. Serve says every few seconds whether it has news.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from canary.observation import AppPhase, is_ours
from core.errors import RegistryUnavailable, UnknownModel
from registry.client import ModelVersion, RegisteredModel
from serve_apps.application.messages import app_name
from serve_apps.control.admission import (
    Admitted,
    Key,
    Missing,
    Refused,
    Unavailable,
    Verdict,
)
from serve_apps.control.state import ControllerState

TAGS_INTERVAL_S = 60.0  # of an MLflow whose database did not change
TAGS_SHARE = 0.1  # of the time in which MLflow may be busy with our question for tags
FEW_MODELS = 3  # up to so many are asked for one by one, else all versions at once
LISTING_LIMIT = 1000
RETRY_AFTER_S = 30.0
UNWELL_S = 60.0
SETTLED_INTERVAL_S = 2.0
RESTING_INTERVAL_S = 30.0  # without news Serve is asked for everything all the same
UNCHANGED_INTERVAL_S = 5.0  # an MLflow whose database did not change is asked: it may be away
MAX_MESSAGE_CHARS = 200
UNSETTLED = {AppPhase.LOADING, AppPhase.STOPPING, AppPhase.UNWELL}


class AppState(StrEnum):
    """What Serve says of an application, as far as it matters here."""

    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class AppStatus:
    """How an application stands in Serve; `replicas` counts those that run."""

    state: AppState
    message: str = ""
    replicas: int = 0


class Registry(Protocol):
    """MLflow; all raise RegistryUnavailable, `versions` UnknownModel too."""

    def models(self) -> Mapping[str, RegisteredModel]: ...
    def versions(self, name: str) -> tuple[ModelVersion, ...]: ...
    def all_versions(self) -> Mapping[str, tuple[ModelVersion, ...]]: ...


class Admissions(Protocol):
    """The admission controller, as an observation needs it."""

    def verdict(self, model: str, version: str) -> Verdict | None: ...
    def take_listing(self, model: str, listing: Mapping[str, ModelVersion], *, is_whole: bool) -> None: ...
    def forget_all_but(self, keys: set[Key]) -> None: ...


class Apps(Protocol):
    """The applications, as their phases need them."""

    @property
    def changes(self) -> int: ...
    async def has_news(self) -> bool: ...
    async def statuses(self) -> Mapping[str, AppStatus]: ...
    def is_warm(self, app_name: str) -> bool: ...
    def mark_unready(self, app_name: str) -> None: ...
    def may_sleep(self, app_name: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen at one moment. `registry` is None while MLflow does not answer; `last_registry` is then what it
    said last.

    `listings` are the versions of each model as MLflow listed them last. `pending` are versions whose verdict is not
    there yet. `failures` say why applications failed, `running` are the applications that have a replica, `lost`
    those that have had none for a minute, `replicas` how many each has.
    """

    registry: Mapping[str, RegisteredModel] | None
    last_registry: Mapping[str, RegisteredModel] = field(default_factory=dict)
    listings: Mapping[str, Mapping[str, ModelVersion]] = field(default_factory=dict)
    admitted: Mapping[Key, Admitted] = field(default_factory=dict)
    refused: Mapping[Key, Refused | Missing] = field(default_factory=dict)
    unavailable: Mapping[Key, Unavailable] = field(default_factory=dict)
    pending: frozenset[Key] = frozenset()
    phases: Mapping[str, AppPhase] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    running: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    replicas: Mapping[str, int] = field(default_factory=dict)


def unknown() -> object:
    """The mark of a registry that does not tell whether it has changed."""
    return None


class Observer:
    """Asks MLflow as often as the site says, and the admission controller and the applications each time.

    `registry_mark` differs from the last one after any change in MLflow; None when that cannot be told.
    """

    def __init__(
        self,
        registry: Registry,
        admissions: Admissions,
        phases: ApplicationPhases,
        registry_poll_s: float,
        clock: Callable[[], float] = time.monotonic,
        executor: Executor | None = None,
        registry_mark: Callable[[], object] = unknown,
    ) -> None:
        self._registry = registry
        self._admissions = admissions
        self._phases = phases
        self._poll_s = registry_poll_s
        self._clock = clock
        self._mark = registry_mark
        self._executor = executor or ThreadPoolExecutor(1, "registry")
        self._last_mark: object = None
        self._unchanged_until = 0.0
        self._models: Mapping[str, RegisteredModel] | None = None
        self._last_models: Mapping[str, RegisteredModel] = {}
        self._ask_registry_at = 0.0
        self._listed: dict[str, _Listed] = {}
        self._listings: dict[str, Mapping[str, ModelVersion]] = {}
        self._listing_takes_s = 0.0
        self._refresh: asyncio.Task[None] | None = None

    def expire(self) -> None:
        """Note that something changed in MLflow: ask for aliases and tags at the next observation."""
        self._ask_registry_at = self._unchanged_until = 0.0
        self._listed.clear()

    async def observe(self, state: ControllerState) -> Observation:
        registry = await self._aliases()
        keys = named_versions(self._last_models, state)
        self._begin_refresh(registry, {model for model, _ in keys} | set(state.models))
        self._admissions.forget_all_but(keys)
        verdicts = {key: self._admissions.verdict(*key) for key in keys}
        phases = await self._phases.observe(ready_once(state))
        return Observation(
            registry=registry,
            last_registry=self._last_models,
            listings=dict(self._listings),
            admitted={k: v for k, v in verdicts.items() if isinstance(v, Admitted)},
            refused={k: v for k, v in verdicts.items() if isinstance(v, Refused | Missing)},
            unavailable={k: v for k, v in verdicts.items() if isinstance(v, Unavailable)},
            pending=frozenset(k for k, v in verdicts.items() if v is None),
            phases=phases,
            failures=dict(self._phases.failures),
            running=self._phases.running,
            lost=self._phases.lost,
            replicas=self._phases.replicas,
        )

    def close(self) -> None:
        if self._refresh is not None:
            self._refresh.cancel()
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _aliases(self) -> Mapping[str, RegisteredModel] | None:
        if self._clock() < self._ask_registry_at:
            return self._models
        self._ask_registry_at = self._clock() + self._poll_s
        mark = self._mark()
        if mark is not None and mark == self._last_mark and self._clock() < self._unchanged_until:
            return self._models
        was_away = self._models is None
        loop = asyncio.get_running_loop()
        try:
            self._models = await loop.run_in_executor(self._executor, self._registry.models)
            self._last_models = self._models
            self._last_mark, self._unchanged_until = mark, self._clock() + UNCHANGED_INTERVAL_S
        except RegistryUnavailable:
            self._models, self._last_mark = None, None
        if was_away:
            self._listed.clear()  # what changed in the meantime told nobody
        return self._models

    def _begin_refresh(self, registry: Mapping[str, RegisteredModel] | None, models: set[str]) -> None:
        """List the versions of models whose tags may have changed, beside the tick: an alias does not wait for it."""
        if registry is None or (self._refresh is not None and not self._refresh.done()):
            return
        aliases = {model: registry[model].aliases if model in registry else {} for model in models}
        stale = [model for model in sorted(models) if not self._is_fresh(model, aliases[model])]
        if not stale:
            return
        for model in stale:
            self._listed[model] = _Listed(self._clock(), self._last_mark, aliases[model])
        self._refresh = asyncio.create_task(self._list_all(stale))

    def _is_fresh(self, model: str, aliases: Mapping[str, str]) -> bool:
        listed = self._listed.get(model)
        if listed is None or listed.aliases != aliases:
            return False
        is_unchanged = self._last_mark is not None and listed.mark == self._last_mark
        pause_s = max(self._poll_s, self._listing_takes_s / TAGS_SHARE)
        return self._clock() < listed.at + (TAGS_INTERVAL_S if is_unchanged else pause_s)

    async def _list_all(self, models: list[str]) -> None:
        loop, began = asyncio.get_running_loop(), self._clock()
        try:
            if len(models) > FEW_MODELS:
                everything = await loop.run_in_executor(self._executor, self._registry.all_versions)
                for model in models:
                    self._take_listing(model, everything.get(model, ()), is_whole=True)
                return
            for model in models:
                versions = await loop.run_in_executor(self._executor, self._versions, model)
                self._take_listing(model, versions, is_whole=len(versions) < LISTING_LIMIT)
        except RegistryUnavailable:
            for model in models:
                self._listed.pop(model, None)
        finally:
            self._listing_takes_s = self._clock() - began

    def _versions(self, model: str) -> tuple[ModelVersion, ...]:
        try:
            return self._registry.versions(model)
        except UnknownModel:
            return ()

    def _take_listing(self, model: str, versions: tuple[ModelVersion, ...], *, is_whole: bool) -> None:
        listing = {version.version: version for version in versions}
        self._listings[model] = listing
        self._admissions.take_listing(model, listing, is_whole=is_whole)


@dataclass(frozen=True, slots=True)
class _Listed:
    """When a model's versions were asked for, what MLflow's mark was then, and the model's aliases."""

    at: float
    mark: object
    aliases: Mapping[str, str]


@dataclass(slots=True)
class _Look:
    """What Serve said at one moment, and until when that is taken to hold."""

    changes: int
    phases: Mapping[str, AppPhase]
    at: float
    holds_until: float


class ApplicationPhases:
    """From Serve's status to a phase: RUNNING is not yet READY, a replica must have answered.

    One that was ready before this controller was started, and has a replica, is READY at once: a restart of the
    controller is no news about the replicas.
    """

    def __init__(self, apps: Apps, clock: Callable[[], float] = time.monotonic) -> None:
        self._apps = apps
        self._clock = clock
        self._failed_at: dict[str, float] = {}
        self._unwell_at: dict[str, float] = {}
        self._trusted: set[str] | None = None
        self.failures: dict[str, str] = {}  # why an application cannot come up, in Serve's last words
        self.running: frozenset[str] = frozenset()
        self.replicas: Mapping[str, int] = {}
        self._last: _Look | None = None

    async def observe(self, ready_once: frozenset[str]) -> Mapping[str, AppPhase]:
        """The phase of every version's application. Serve is asked less often while nothing is on its way.

        Its whole answer costs 40 ms of this process and as much of Serve's controller; whether it has news, one.
        """
        if self._trusted is None:
            self._trusted = set(ready_once)
        changes, last = self._apps.changes, self._last
        if last is not None and last.changes == changes and await self._still_holds(last):
            return last.phases
        phases = await self._phases(ready_once)
        now = self._clock()
        self._last = _Look(changes, phases, now, now + (SETTLED_INTERVAL_S if is_settled(phases) else 0.0))
        return phases

    async def _still_holds(self, look: _Look) -> bool:
        now = self._clock()
        if now < look.holds_until:
            return True
        if not is_settled(look.phases) or now >= look.at + RESTING_INTERVAL_S or await self._apps.has_news():
            return False
        look.holds_until = now + SETTLED_INTERVAL_S
        return True

    @property
    def lost(self) -> frozenset[str]:
        """The applications that have had no replica for a minute, though they should."""
        return frozenset(n for n, since in self._unwell_at.items() if self._clock() - since >= UNWELL_S)

    def may_retry(self, name: str) -> bool:
        """Whether a failed application has failed for long enough to be tried again."""
        return self._clock() - self._failed_at.get(name, self._clock()) >= RETRY_AFTER_S

    async def _phases(self, ready_once: frozenset[str]) -> Mapping[str, AppPhase]:
        statuses = await self._apps.statuses()
        self._failed_at = {name: at for name, at in self._failed_at.items() if name in statuses}
        self._unwell_at = {name: at for name, at in self._unwell_at.items() if name in statuses}
        self.failures = {
            name: last_sentence(status.message)
            for name, status in statuses.items()
            if status.state is AppState.FAILED and status.message
        }
        self.replicas = {name: status.replicas for name, status in statuses.items()}
        self.running = frozenset(name for name, number in self.replicas.items() if number > 0)
        return {name: self._phase(name, status, ready_once) for name, status in statuses.items()}

    def _phase(self, name: str, status: AppStatus, ready_once: frozenset[str]) -> AppPhase:
        if status.replicas > 0 and status.state is not AppState.STOPPING:
            # the old replicas take studies while Serve changes an application, and when that failed
            self._unwell_at.pop(name, None)
            return AppPhase.READY if self._answers(name) else AppPhase.LOADING
        self._apps.mark_unready(name)
        self._trust().discard(name)
        if status.state is AppState.RUNNING and self._apps.may_sleep(name):
            return AppPhase.ASLEEP
        if status.state is AppState.FAILED:
            self._failed_at.setdefault(name, self._clock())
            return AppPhase.FAILED
        if status.state is AppState.STOPPING:
            return AppPhase.STOPPING
        return self._without_replica(name, ready_once)

    def _answers(self, name: str) -> bool:
        return name in self._trust() or self._apps.is_warm(name)

    def _trust(self) -> set[str]:
        return self._trusted if self._trusted is not None else set()

    def _without_replica(self, name: str, ready_once: frozenset[str]) -> AppPhase:
        """Serve replaces a replica within seconds; one that does not come back counts as any that is loading."""
        since = self._unwell_at.setdefault(name, self._clock())
        is_recent = self._clock() - since < UNWELL_S
        return AppPhase.UNWELL if name in ready_once and is_recent else AppPhase.LOADING


def named_versions(registry: Mapping[str, RegisteredModel], state: ControllerState) -> set[Key]:
    """Every version that an alias of ours names now, or that the state remembers."""
    named = {
        (name, version)
        for name, model in registry.items()
        for alias, version in model.aliases.items()
        if is_ours(alias)
    }
    remembered = {(name, version) for name, model in state.models.items() for version in model.versions}
    return named | remembered


def ready_once(state: ControllerState) -> frozenset[str]:
    """The applications that have been ready since their versions got a role."""
    return frozenset(
        app_name(name, version) for name, model in state.models.items() for version in model.ready_once
    )


def is_settled(phases: Mapping[str, AppPhase]) -> bool:
    """Whether no application is on its way up or down, so that nothing is to be expected soon."""
    return UNSETTLED.isdisjoint(phases.values())


def last_sentence(message: str) -> str:
    """The last sentence of a traceback, which names the error; the rest is for the logs."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1][:MAX_MESSAGE_CHARS] if lines else ""
