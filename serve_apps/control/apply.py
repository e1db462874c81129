"""Makes it so: one Serve application per model version.

The applications are imperative and carry a reserved prefix, so a `serve deploy` of the declarative config leaves
them alone. All calls are idempotent; each application is on its own, and what Serve refuses of one stops no other.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import Any, Protocol

from serve_apps.application.messages import ServedVersion
from serve_apps.control.observe import AppState, AppStatus
from serve_apps.control.state import DeployedApp
from serve_apps.resources import Resources
from serve_apps.settings import Settings

logger = logging.getLogger("serinus.apply")
PLATFORM = installed_version("serinus")
REFUSED_RETRY_S = 30.0
MAX_MESSAGE_CHARS = 200


@dataclass(frozen=True, slots=True)
class AppSpec:
    """All that an application is run with. Serve restarts its replicas only when `code` changes."""

    version: ServedVersion
    options: Mapping[str, Any]
    code: str

    def fingerprint(self, settings_json: str) -> str:
        known = json.dumps([self.code, self.options, settings_json], sort_keys=True)
        return hashlib.sha256(known.encode()).hexdigest()


class ServePort(Protocol):
    """Ray Serve, as little of it as this needs. Every call blocks; `run` raises whatever Serve objects to.

    `overview` is cheap, and another one whenever `statuses` may say something else.
    """

    def overview(self) -> object: ...
    def statuses(self) -> Mapping[str, AppStatus]: ...
    def run(self, spec: AppSpec) -> None: ...
    def delete(self, app_name: str) -> None: ...
    def has_gpu(self) -> bool: ...


class Applications:
    """Runs, changes and deletes the applications of all versions of this cluster."""

    def __init__(
        self,
        settings: Settings,
        port: ServePort,
        probes: ReadinessProbes,
        clock: Callable[[], float] = time.monotonic,
        executor: Executor | None = None,
    ) -> None:
        self._settings = settings
        self._settings_json = settings.model_dump_json()
        self._serve = port
        self._probes = probes
        self._clock = clock
        self._executor = executor or ThreadPoolExecutor(1, "serve")
        self._deployed: dict[str, DeployedApp] = {}
        self._refused: dict[str, tuple[float, str, str]] = {}  # until when, fingerprint, Serve's reason
        self._listed: frozenset[str] = frozenset()
        self._overview: object = None
        self._has_gpu: bool | None = None
        self._own_changes = 0
        self._asked: dict[
            str, tuple[ServedVersion, int, DeployedApp]
        ] = {}  # what was found to be run already

    @property
    def changes(self) -> int:
        """How often an application was started, changed, deleted, refused or became ready."""
        return self._own_changes + self._probes.answers

    @property
    def deployed(self) -> Mapping[str, DeployedApp]:
        """How each application was last run, for the next controller."""
        return dict(self._deployed)

    @property
    def versions(self) -> Mapping[str, ServedVersion]:
        """Of the applications that this controller runs, also those that no table names any more."""
        return {name: version for name, (version, _, _) in self._asked.items()}

    @property
    def has_gpu(self) -> bool:
        """Whether replicas are given a share of a GPU; not before the first was started."""
        return bool(self._has_gpu)

    def restore(self, deployed: Mapping[str, DeployedApp]) -> None:
        """Take over what the last controller ran, as if this one had."""
        self._deployed = dict(deployed)

    async def has_news(self) -> bool:
        """Whether Serve may have something else to say than at the last `statuses`."""
        return bool(await self._in_thread(self._serve.overview) != self._overview)

    async def statuses(self) -> Mapping[str, AppStatus]:
        """Every version's application by name; one that Serve refused to run has failed with Serve's reason."""
        self._overview = await self._in_thread(self._serve.overview)
        statuses = dict(await self._in_thread(self._serve.statuses))
        self._listed = frozenset(statuses)
        self._deployed = {name: app for name, app in self._deployed.items() if name in statuses}
        for name, (_, _, reason) in self._refused.items():
            if name not in statuses:
                statuses[name] = AppStatus(AppState.FAILED, reason)
        return statuses

    async def ensure(self, version: ServedVersion, replicas: int) -> None:
        """Have Serve begin to start the version with so many replicas, or change their number or its resources.

        Returns before that is done. With 0 Serve starts one when a study comes.

        Asking again for the same does nothing. Other numbers of replicas restart none of them.
        """
        if self._has_gpu is None:
            self._has_gpu = self._settings.device != "cpu" and await self._in_thread(self._serve.has_gpu)
        if self._is_as_asked(version, replicas):
            return
        options = deployment_options(version.resources, has_gpu=self._has_gpu, replicas=replicas)
        spec = AppSpec(version, options, code_of(version))
        name, fingerprint = version.app_name, spec.fingerprint(self._settings_json)
        former = self._deployed.get(name)
        if former is not None and former.fingerprint == fingerprint:
            self._refused.pop(name, None)
            self._asked[name] = (version, replicas, former)
            return
        if self._is_refused(name, fingerprint):
            return
        self._own_changes += 1
        try:
            await self._in_thread(lambda: self._serve.run(spec))
        except Exception as error:  # noqa: BLE001 - whatever Serve objects to in one version's tags is that version's
            self._refuse(name, fingerprint, error)
            return
        logger.info("apply.run", extra={"app": name})
        self._refused.pop(name, None)
        self._deployed[name] = DeployedApp(fingerprint, replicas == 0, replicas)
        self._probes.is_ready(name)

    def _is_as_asked(self, version: ServedVersion, replicas: int) -> bool:
        """Whether nothing changed since the same was last asked for and ran, so that no fingerprint is taken."""
        name = version.app_name
        asked, number, deployed = self._asked.get(name, (None, 0, None))
        is_same = asked is version and number == replicas and self._deployed.get(name) is deployed
        return is_same and name not in self._refused

    async def delete(self, app_name: str) -> None:
        self._own_changes += 1
        was_run = self._deployed.pop(app_name, None) is not None or app_name in self._listed
        self._refused.pop(app_name, None)
        self._asked.pop(app_name, None)
        self._probes.forget(app_name)
        if not was_run:
            return
        logger.info("apply.delete", extra={"app": app_name})
        await self._in_thread(lambda: self._serve.delete(app_name))

    def refuse(self, app_name: str, reason: str) -> None:
        """Note that the version cannot be run as its tags say; nobody has to ask Serve for that."""
        if self._refused.get(app_name, (0.0, "", ""))[2] != reason:
            self._own_changes += 1
        self._refused[app_name] = (float("inf"), "", reason)

    @property
    def refused(self) -> Mapping[str, str]:
        """Why a version's application was not run, or not changed, as asked."""
        return {name: reason for name, (_, _, reason) in self._refused.items()}

    def may_sleep(self, app_name: str) -> bool:
        """Whether the application was told that it may be without a replica."""
        return app_name in self._deployed and self._deployed[app_name].may_sleep

    def is_warm(self, app_name: str) -> bool:
        """Whether a replica of the application has answered since it was started; asks it if need be."""
        return self._probes.is_ready(app_name)

    def mark_unready(self, app_name: str) -> None:
        """Note that the application's replicas are gone: the next ones must answer anew."""
        self._probes.mark_unready(app_name)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _is_refused(self, name: str, fingerprint: str) -> bool:
        until, refused, _ = self._refused.get(name, (0.0, "", ""))
        return refused == fingerprint and self._clock() < until

    def _refuse(self, name: str, fingerprint: str, error: Exception) -> None:
        reason = f"Serve refused: {error}".splitlines()[0][:MAX_MESSAGE_CHARS]
        logger.error("apply.refused", extra={"app": name, "reason": reason})
        self._refused[name] = (self._clock() + REFUSED_RETRY_S, fingerprint, reason)

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def code_of(version: ServedVersion) -> str:
    """What a replica takes when it starts: the platform, the artifact, and the version's limits."""
    resources = version.resources
    return f"{PLATFORM}-{version.digest}-{resources.memory_bytes}-{resources.study_timeout_s}"


def deployment_options(resources: Resources, *, has_gpu: bool, replicas: int) -> dict[str, Any]:
    """The version's options for Serve. Its memory is a reservation; the replica itself keeps the limit.

    The number of replicas is ours alone: Serve's autoscaler would add to it by requests, which have no priority. With
    0 Serve starts one when it is asked, and stops it `downscale_delay_s` after the last.
    """
    actor: dict[str, Any] = {
        "num_cpus": resources.num_cpus,
        "num_gpus": resources.num_gpus if has_gpu else 0,
        "runtime_env": {"env_vars": {"OMP_NUM_THREADS": "1"}},
    }
    if resources.memory_bytes:
        actor["memory"] = resources.memory_bytes
    if replicas > 0:
        return {"ray_actor_options": actor, "num_replicas": replicas}
    asleep = {
        "min_replicas": 0,
        "max_replicas": 1,
        "target_ongoing_requests": 2,
        "downscale_delay_s": resources.downscale_delay_s,
    }
    return {"ray_actor_options": actor, "autoscaling_config": asleep}


Ask = Callable[[str], Awaitable[bool]]


class ReadinessProbes:
    """Asks each new application one thing; its answer shows that it has loaded, verified and read its golden input.

    The call is sent as soon as the application is deployed and rests with Serve until a replica takes it, so that
    nobody has to poll for the moment. `ask` says whether there was an answer; `answered` is called when one came.
    """

    def __init__(self, answered: Callable[[], None], ask: Ask) -> None:
        self._answered = answered
        self._ask = ask
        self._calls: dict[str, asyncio.Task[bool]] = {}
        self.answers = 0

    def is_ready(self, app_name: str) -> bool:
        """Whether the application has answered; asks it if nobody does or the last call failed."""
        task = self._calls.get(app_name)
        if task is not None and task.done() and not task.cancelled() and task.result():
            return True
        if task is None or task.done():
            self._calls[app_name] = asyncio.create_task(self._call(app_name))
        return False

    def mark_unready(self, app_name: str) -> None:
        """Forget an answer of before. A call that still waits is for the next replicas."""
        task = self._calls.get(app_name)
        if task is not None and task.done():
            self.forget(app_name)

    def forget(self, app_name: str) -> None:
        """Drop the call of an application that was deleted."""
        task = self._calls.pop(app_name, None)
        if task is not None:
            task.cancel()

    async def _call(self, app_name: str) -> bool:
        try:
            came = await self._ask(app_name)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one application is no news of another
            logger.warning("apply.not_asked", extra={"app": app_name, "error": type(error).__name__})
            return False
        if came:
            self.answers += 1
            self._answered()
        return came
