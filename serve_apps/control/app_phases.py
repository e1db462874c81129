"""From Serve's status to a phase: RUNNING is not yet READY, a replica must have answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from canary.observation import AppPhase
from serve_apps.control.version_apps import AppState, AppStatus, VersionApps

RETRY_AFTER_S = 30.0
UNSETTLED = {AppPhase.LOADING, AppPhase.STOPPING}
SETTLED_INTERVAL_S = 2.0
MAX_MESSAGE_CHARS = 200


class AppPhases:
    """Remembers when an application failed, and Serve's last words about it."""

    def __init__(self, apps: VersionApps, clock: Callable[[], float] = time.monotonic) -> None:
        self._apps = apps
        self._clock = clock
        self._failed_at: dict[str, float] = {}
        self.failures: dict[str, str] = {}  # why an application cannot come up, in Serve's last words
        self._last: tuple[int, float, Mapping[str, AppPhase]] | None = None

    async def look(self) -> Mapping[str, AppPhase]:
        """The phase of every version's application. Serve is asked less often while nothing is on its way.

        Its answer costs 40 ms of this process and as much of Serve's controller.
        """
        changes = self._apps.changes
        if self._last is not None and self._last[0] == changes and self._clock() < self._last[1]:
            return self._last[2]
        phases = await self._phases()
        wait_s = SETTLED_INTERVAL_S if is_settled(phases) else 0.0
        self._last = (changes, self._clock() + wait_s, phases)
        return phases

    async def _phases(self) -> Mapping[str, AppPhase]:
        statuses = await self._apps.statuses()
        self._failed_at = {name: at for name, at in self._failed_at.items() if name in statuses}
        self.failures = {
            name: last_sentence(status.message)
            for name, status in statuses.items()
            if status.state is AppState.FAILED and status.message
        }
        return {name: self._phase(name, status) for name, status in statuses.items()}

    def _phase(self, name: str, status: AppStatus) -> AppPhase:
        is_asleep = status.replicas == 0 and status.state is AppState.RUNNING and self._apps.may_sleep(name)
        if _serves(status) and not is_asleep:
            return AppPhase.READY if self._apps.is_warm(name) else AppPhase.LOADING
        self._apps.mark_unready(name)
        if is_asleep:
            return AppPhase.ASLEEP
        if status.state is AppState.FAILED:
            self._failed_at.setdefault(name, self._clock())
            return AppPhase.FAILED
        return AppPhase.STOPPING if status.state is AppState.STOPPING else AppPhase.LOADING

    def may_retry(self, name: str) -> bool:
        """Whether a failed application has failed for long enough to be tried again."""
        return self._clock() - self._failed_at.get(name, self._clock()) >= RETRY_AFTER_S


def is_settled(phases: Mapping[str, AppPhase]) -> bool:
    """Whether no application is on its way up or down, so that nothing is to be expected soon."""
    return UNSETTLED.isdisjoint(phases.values())


def _serves(status: AppStatus) -> bool:
    """Whether its replicas take studies: the old ones do while Serve changes an application, and when that failed."""
    changing = status.state in (AppState.STARTING, AppState.FAILED)
    return status.state is AppState.RUNNING or (changing and status.replicas > 0)


def last_sentence(message: str) -> str:
    """The last sentence of a traceback, which names the error; the rest is for the logs."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1][:MAX_MESSAGE_CHARS] if lines else ""
