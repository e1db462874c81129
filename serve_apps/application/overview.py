"""How the site stands: which versions are in service, what waits, what could not be brought, what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta

from core.errors import NotReady
from ledger import DeadLetter, Ledger
from serve_apps.application.executors import run_in
from serve_apps.application.routing_snapshot import RoutingSnapshot

DEAD_LETTERS_SHOWN = 100
ROUTERS = "routers"  # the subject of an alarm that is about this process's own routing state


@dataclass(frozen=True, slots=True)
class QueueState:
    """Jobs by state, the shadows to come by model and version with the age of the oldest, and what was given up."""

    jobs: Mapping[str, int]
    pending_shadows: Mapping[tuple[str, str], int]
    oldest_shadow: timedelta | None
    dead_letters: tuple[DeadLetter, ...]


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
        oldest = await run_in(self._executor, self._ledger.shadows.oldest_pending)
        letters = await run_in(self._executor, self._ledger.outbox.dead_letters, DEAD_LETTERS_SHOWN)
        return QueueState(jobs, pending, oldest, letters)
