"""How the site stands: which versions are in service, what waits, what could not be brought, what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from core.errors import LedgerUnavailable, NotReady, PoisonStudy
from ledger import DeadLetter, Freeze, Ledger
from serve_apps.application.backlog import POISON_SHOWN, backlog_alarms, recall_alarms
from serve_apps.application.drift_watch import drift_alarms
from serve_apps.application.executors import run_in
from serve_apps.application.routing_snapshot import RoutingSnapshot

DEAD_LETTERS_SHOWN = 100
SHADOW_ALARM_S = 3600.0
LEDGER = "ledger"
ROUTERS = "routers"  # the subject of an alarm that is about this process's own routing state


@dataclass(frozen=True, slots=True)
class QueueState:
    """Jobs by state, the shadows to come by model and version with the age of the oldest, and what was given up.

    `poison_studies` were given up in the last 24 hours.
    """

    jobs: Mapping[str, int]
    pending_shadows: Mapping[tuple[str, str], int]
    oldest_shadow: timedelta | None
    dead_letters: tuple[DeadLetter, ...]
    poison_studies: int = 0


@dataclass(frozen=True, slots=True)
class FreezeStatus:
    """All traffic goes to the champions. `recorded` is None while the ledger does not know it, or cannot be asked."""

    recorded: Freeze | None


class RouterAlarms(Protocol):
    """What every replica that holds a routing snapshot has to say of it, by deployment. Never raises."""

    async def alarms(self) -> Mapping[str, str]: ...


class OverviewService:
    """What `serinus status`, a probe and a monitor ask. `alarm` is what this replica's routing state has to say, and
    `others` what the other replicas' have: nobody can ask those by HTTP.
    """

    def __init__(
        self,
        ledger: Ledger,
        snapshot: Callable[[], RoutingSnapshot],
        alarm: Callable[[], str | None],
        executor: Executor,
        shadow_alarm_s: float = SHADOW_ALARM_S,
        *,
        others: RouterAlarms,
    ) -> None:
        self._ledger = ledger
        self._snapshot = snapshot
        self._alarm = alarm
        self._executor = executor
        self._others = others
        self.shadow_alarm_s = shadow_alarm_s

    def snapshot(self) -> RoutingSnapshot:
        return self._snapshot()

    async def alarms(self) -> Mapping[str, str]:
        """What is wrong, by model or by part of the platform: what is not as the tables say, waits too long or was
        given up.
        """
        own = self._alarm()
        others = {
            f"{ROUTERS}/{deployment}": sentence
            for deployment, sentence in (await self._others.alarms()).items()
            if sentence != own
        }
        routing = {**self._snapshot().alarms, **({ROUTERS: own} if own else {})}
        return {**routing, **others, **await self._backlog_alarms()}

    async def frozen(self) -> FreezeStatus | None:
        """The freeze that this replica obeys, with who threw it as far as that is recorded; None without one."""
        if not self._snapshot().is_frozen:
            return None
        try:
            recorded = await run_in(self._executor, self._ledger.routing.frozen)
        except LedgerUnavailable:
            recorded = None
        return FreezeStatus(recorded)

    async def _backlog_alarms(self) -> Mapping[str, str]:
        try:
            state = await self.queue()
            recalls = await run_in(self._executor, self._ledger.recalls.open_lists)
            drift = await run_in(self._executor, self._ledger.drift_verdicts.all)
        except LedgerUnavailable as error:
            return {LEDGER: error.detail}
        waiting = backlog_alarms(
            state.oldest_shadow, len(state.dead_letters), self.shadow_alarm_s, state.poison_studies
        )
        in_service = {(one.model, one.version) for one in self._snapshot().variants}
        return {**waiting, **recall_alarms(recalls), **drift_alarms(drift, in_service)}

    async def require_ready(self) -> None:
        """Raise NotReady until every champion can answer, and LedgerUnavailable while no job can be accepted."""
        snapshot = self._snapshot()
        snapshot.require_some()
        if snapshot.not_ready:
            raise NotReady(f"not warm yet: {', '.join(snapshot.not_ready)}")
        await run_in(self._executor, self._ledger.routing.revision)

    async def queue(self, tenant: str | None = None) -> QueueState:
        """What the site has to do, by state; dead letters of one tenant's jobs, or of all."""
        jobs = await run_in(self._executor, self._ledger.jobs.counts)
        pending = await run_in(self._executor, self._ledger.shadows.backlog)
        oldest = await run_in(self._executor, self._ledger.shadows.oldest_pending)
        letters = await run_in(self._executor, self._ledger.outbox.dead_letters, DEAD_LETTERS_SHOWN, tenant)
        failures = self._ledger.failures.number
        poison = await run_in(self._executor, failures, PoisonStudy.code, POISON_SHOWN)
        return QueueState(jobs, pending, oldest, letters, poison)
