"""How the site stands: which versions are in service, what waits, what could not be brought, what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from core.errors import NotReady
from ledger import Ledger
from serve_apps.application.executors import run_in
from serve_apps.application.routing_snapshot import RoutingSnapshot

ROUTERS = "routers"  # the subject of an alarm that is about this process's own routing state


@dataclass(frozen=True, slots=True)
class QueueState:
    """Jobs by state, and the shadow readings to come by model and version."""

    jobs: Mapping[str, int]
    pending_shadows: Mapping[tuple[str, str], int]


class OverviewService:
    """What `serinus status`, a probe and a monitor ask. `alarm` is what this replica's routing state has to say."""

    def __init__(
        self,
        ledger: Ledger,
        snapshot: Callable[[], RoutingSnapshot],
        alarm: Callable[[], str | None],
        executor: Executor,
    ) -> None:
        self._ledger = ledger
        self._snapshot = snapshot
        self._alarm = alarm
        self._executor = executor

    def snapshot(self) -> RoutingSnapshot:
        return self._snapshot()

    def alarms(self) -> Mapping[str, str]:
        """By model, or by a part of the platform: why studies are not read as the tables say."""
        own = self._alarm()
        return {**self._snapshot().alarms, **({ROUTERS: own} if own else {})}

    async def require_ready(self) -> None:
        """Raises NotReady until every champion can answer, and LedgerUnavailable while no job can be accepted."""
        snapshot = self._snapshot()
        snapshot.require_some()
        if snapshot.not_ready:
            raise NotReady(f"not warm yet: {', '.join(snapshot.not_ready)}")
        await run_in(self._executor, self._ledger.routing.revision)

    async def queue(self) -> QueueState:
        jobs = await run_in(self._executor, self._ledger.jobs.counts)
        pending = await run_in(self._executor, self._ledger.shadows.backlog)
        return QueueState(jobs, pending)
