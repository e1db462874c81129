"""Which registered versions this site admits: fetched, verified, gated, sized. Remembers the verdict per version.

A version that is refused never becomes a view, so that no alias can bring it near a study; the reason is kept for
`serinus status` and the version's page in MLflow. While MLflow is away nothing is refused.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

from canary.gates import Clearance, GateVerdict, SitePolicy, regulatory_gate
from canary.observation import VersionView
from core.errors import RegistryUnavailable, SerinusError, UnknownModel
from core.weekly_hours import hours_of
from models.spec import ModelSpec
from registry.cache import CachedModel
from registry.client import ModelVersion
from registry.signing import DIGEST_TAG
from serve_apps.application.messages import ServedVersion, app_name
from serve_apps.resources import Resources

PARALLEL = 2  # artifacts that are fetched and hashed at the same time
UNAVAILABLE_RETRY_S = 2.0
REFUSED_RETRY_S = 30.0
STATUS_TAG = "regulatory.status"
CLEARED_DIGEST_TAG = "regulatory.digest"
RESOURCES_PREFIX = "serinus.resources."
PAGE_PREFIX = "rollout."  # of the tags that say how a version stands
COUNTS = ("memory_bytes", "min_replicas", "max_replicas")
SCHEDULE = "schedule"
AUTO = "auto"  # the text of `max_replicas` for as many as the cluster bears, whatever the site's default
SMALLEST_SHARE = 0.0001  # of a CPU or GPU: Ray counts no finer
MOST_REPLICAS = 1000


@dataclass(frozen=True, slots=True)
class Admitted:
    """A version whose files were verified on this node. `deleted`: MLflow has it no longer.

    `has_reference`: it brings what its input check compares studies with.
    """

    version: ModelVersion
    digest: str
    spec: ModelSpec
    deleted: bool = False
    has_reference: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """A version that will not be loaded, and why."""

    reason: str
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """A version that MLflow does not have (any more)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """MLflow does not answer, or this node cannot keep files: nothing is known yet, and it is asked again."""

    reason: str


Verdict = Admitted | Refused | Missing | Unavailable
Key = tuple[str, str]  # model, version


class ModelCache(Protocol):
    """Where a version's verified files are; raises SerinusError with the sentence that says what is wrong."""

    def fetch(self, name: str, version: str) -> CachedModel: ...


class AdmissionController:
    """Admits versions in threads of its own: fifty slow downloads delay no tick, no decision and no freeze."""

    def __init__(
        self,
        cache: ModelCache,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[], None] = lambda: None,
        executor: Executor | None = None,
    ) -> None:
        """`changed` is called when a verdict differs from the last."""
        self._cache = cache
        self._clock = clock
        self._changed = changed
        self._executor = executor or ThreadPoolExecutor(PARALLEL, "admission")
        self._verdicts: dict[Key, Verdict] = {}
        self._retry_at: dict[Key, float] = {}
        self._pending: dict[Key, asyncio.Task[None]] = {}
        self._listed: dict[Key, ModelVersion] = {}

    def verdict(self, model: str, version: str) -> Verdict | None:
        """The verdict as it stands, None while the files are on their way for the first time. Starts what is due."""
        key = (model, version)
        if key not in self._pending and self._clock() >= self._retry_at.get(key, 0.0):
            self._retry_at[key] = float("inf")
            task = asyncio.create_task(self._ask(key))
            self._pending[key] = task
            task.add_done_callback(lambda _: self._pending.pop(key, None))
        return self._verdicts.get(key)

    def take_listing(self, model: str, listing: Mapping[str, ModelVersion], *, is_whole: bool) -> None:
        """MLflow's newest word on a model's versions: tags, digests, and which are gone if the listing is whole.

        A version whose signed digest is another now is verified anew; so is one that was refused and is listed
        otherwise than before.
        """
        for key, verdict in list(self._verdicts.items()):
            if key[0] != model:
                continue
            registered = listing.get(key[1])
            if not isinstance(verdict, Admitted):
                if self._is_news(key, registered):
                    self._retry_at[key] = 0.0
            elif registered is None:
                self._set(key, replace(verdict, deleted=verdict.deleted or is_whole))
            elif registered.tags.get(DIGEST_TAG) == verdict.digest:
                self._set(key, replace(verdict, version=registered, deleted=False))
            else:
                self._retry_at[key] = 0.0

    def _is_news(self, key: Key, registered: ModelVersion | None) -> bool:
        """Whether MLflow lists the version otherwise than before; what we write on its page is no news."""
        former = self._listed.pop(key, None)
        if registered is not None:
            tags = {name: text for name, text in registered.tags.items() if not name.startswith(PAGE_PREFIX)}
            self._listed[key] = replace(registered, tags=tags, description="")
        return former != self._listed.get(key)

    def forget_all_but(self, keys: set[Key]) -> None:
        """Forget the verdicts of versions that nothing names any more."""
        for key in self._verdicts.keys() - keys - self._pending.keys():
            del self._verdicts[key]
            self._retry_at.pop(key, None)
            self._listed.pop(key, None)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, key: Key) -> None:
        try:
            cached = await asyncio.get_running_loop().run_in_executor(self._executor, self._cache.fetch, *key)
            registered = ModelVersion(*key, cached.tags)
            verdict: Verdict = Admitted(
                registered, cached.digest, cached.spec, has_reference=cached.has_reference
            )
            retry_s = float("inf")
        except RegistryUnavailable as error:
            # what was decided before stays so
            reason = f"registry unavailable: {error.detail}"
            verdict, retry_s = self._verdicts.get(key, Unavailable(reason)), UNAVAILABLE_RETRY_S
        except OSError as error:
            reason = f"this node cannot keep the version's files: {os.strerror(error.errno or 0)}"
            verdict, retry_s = self._verdicts.get(key, Unavailable(reason)), REFUSED_RETRY_S
        except UnknownModel as error:
            verdict, retry_s = self._gone(key, error), REFUSED_RETRY_S
        except SerinusError as error:
            verdict, retry_s = Refused(error.detail), REFUSED_RETRY_S
        except Exception as error:  # noqa: BLE001 - whatever a foreign artifact leads to refuses that artifact only
            verdict, retry_s = Refused(f"admission failed: {type(error).__name__}"), REFUSED_RETRY_S
        self._retry_at[key] = self._clock() + retry_s
        self._set(key, verdict)

    def _gone(self, key: Key, error: UnknownModel) -> Verdict:
        verdict = self._verdicts.get(key)
        return replace(verdict, deleted=True) if isinstance(verdict, Admitted) else Missing(error.detail)

    def _set(self, key: Key, verdict: Verdict) -> None:
        if self._verdicts.get(key) != verdict:
            self._verdicts[key] = verdict
            self._changed()


def gate_of(admitted: Admitted, policy: SitePolicy) -> GateVerdict:
    """What the regulatory gate says of a version by its tags; the clearance counts for its own digest only."""
    tags = admitted.version.tags
    clearance = Clearance(tags.get(STATUS_TAG), tags.get(CLEARED_DIGEST_TAG))
    return regulatory_gate(clearance, admitted.digest, policy)


def view_of(admitted: Admitted, gate: GateVerdict) -> VersionView:
    version = admitted.version
    return VersionView(version.version, admitted.digest, app_name(version.name, version.version), gate)


def served_of(admitted: Admitted, gate: GateVerdict, resources: Resources) -> ServedVersion:
    """What a router needs to know of an admitted version; `resources` are those of its tags and its site."""
    version = admitted.version
    return ServedVersion(
        model=version.name,
        version=version.version,
        digest=admitted.digest,
        spec=admitted.spec,
        regulatory_status=version.tags.get(STATUS_TAG, "none"),
        research_only=gate.research_only,
        resources=resources,
        may_answer=gate.may_answer,
        has_reference=admitted.has_reference,
    )


@dataclass(frozen=True, slots=True)
class Sizing:
    """What a version's replicas need. With a `fault` the tags cannot be followed, and the version is not started."""

    resources: Resources
    fault: str | None = None


def resources_of(tags: Mapping[str, str], default: Resources) -> Sizing:
    """The version's tags `serinus.resources.*`, and the site's defaults for the rest."""
    asked: dict[str, Any] = {}
    for field in fields(Resources):
        text = tags.get(RESOURCES_PREFIX + field.name)
        if text is None:
            continue
        fault = fault_of(field.name, text)
        if fault is not None:
            return Sizing(default, f"the tag {RESOURCES_PREFIX}{field.name} {fault}")
        asked[field.name] = _value(field.name, text)
    return Sizing(replace(default, **asked))


def _value(name: str, text: str) -> object:
    """What the text of a resource's tag says, which has no fault."""
    if name == SCHEDULE:
        return text
    if _is_auto(name, text):
        return None
    return int(float(text)) if name in COUNTS else float(text)


def _is_auto(name: str, text: str) -> bool:
    return name == "max_replicas" and text.strip().lower() == AUTO


def fault_of(name: str, text: str) -> str | None:
    """What is wrong with the text of a resource's tag, or None."""
    if name == SCHEDULE:
        return _fault_of_schedule(text)
    return None if _is_auto(name, text) else _fault_of_number(name, text)


def _fault_of_schedule(text: str) -> str | None:
    try:
        hours_of(text)
    except ValueError as error:
        return f"cannot be followed: {error}"
    return None


def _fault_of_number(name: str, text: str) -> str | None:
    try:
        number = float(text)
    except ValueError:
        return "is no number"
    if not 0 <= number < float("inf"):
        return "is no number from 0 on"
    if name in COUNTS and number != int(number):
        return "is no whole number"
    if name.startswith("num_") and 0 < number < SMALLEST_SHARE:
        return f"is less than {SMALLEST_SHARE}, the smallest share there is"
    if name.endswith("_replicas") and number > MOST_REPLICAS:
        return f"is more than {MOST_REPLICAS}"
    return None
