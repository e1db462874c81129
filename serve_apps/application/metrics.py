"""What Prometheus scrapes: what the records of studies add up to, and how the site stands at this moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Protocol, TypeAlias

from ledger import StoredRollout
from observability.metrics import instruments as of
from observability.metrics.exposition import Gauges, exposition_of
from observability.metrics.series import Key, Series
from serve_apps.application.executors import run_in
from serve_apps.application.overview import QueueState
from serve_apps.application.routing_snapshot import RoutingSnapshot

Values: TypeAlias = dict[tuple[str, ...], float]


class KeptSeries(Protocol):
    """`ledger.metrics`. Raises LedgerUnavailable."""

    def all(self) -> Mapping[Key, Series]: ...


class KeptRollouts(Protocol):
    """`ledger.rollouts`. Raises LedgerUnavailable."""

    def newest(self) -> Sequence[StoredRollout]: ...


class Overview(Protocol):
    """`application.overview.OverviewService`. Raises LedgerUnavailable."""

    def snapshot(self) -> RoutingSnapshot: ...
    async def queue(self, tenant: str | None = None) -> QueueState: ...
    async def alarms(self) -> Mapping[str, str]: ...


class MetricsService:
    """Every replica tells the same, since all of it stands in the ledger and the snapshot."""

    def __init__(
        self,
        series: KeptSeries,
        rollouts: KeptRollouts,
        overview: Overview,
        executor: Executor,
        costs: Callable[[], tuple[Gauges, ...]] = tuple,
    ) -> None:
        self._series = series
        self._rollouts = rollouts
        self._overview = overview
        self._executor = executor
        self._costs = costs

    async def exposition(self) -> str:
        """OpenMetrics text. Raises LedgerUnavailable: a scrape that fails is better than one that tells half."""
        series = await run_in(self._executor, self._series.all)
        rollouts = await run_in(self._executor, self._rollouts.newest)
        queue, alarms = await self._overview.queue(), await self._overview.alarms()
        gauges = gauges_of(queue, self._overview.snapshot(), rollouts, len(alarms))
        costs = await run_in(self._executor, self._costs)
        return exposition_of(series, (*gauges, *costs), of.OF_RECORDS)


def gauges_of(
    queue: QueueState, snapshot: RoutingSnapshot, rollouts: Sequence[StoredRollout], alarms: int
) -> tuple[Gauges, ...]:
    """How the site stands, as gauges; ended rollouts are told by their weight of 0 alone."""
    oldest_s = queue.oldest_shadow.total_seconds() if queue.oldest_shadow else 0.0
    variants: Values = dict.fromkeys(
        ((one.model, one.version, one.role, one.state.value) for one in snapshot.variants), 1
    )
    weights: Values = {
        (one.status.model, one.status.candidate, one.status.phase.value): one.status.weight_bp / 10_000
        for one in rollouts
        if not one.status.has_ended
    }
    return (
        Gauges(of.JOBS, {(state,): number for state, number in queue.jobs.items()}),
        Gauges(of.PENDING_SHADOWS, {version: number for version, number in queue.pending_shadows.items()}),
        Gauges(of.OLDEST_SHADOW, {(): oldest_s}),
        Gauges(of.DEAD_LETTERS, {(): len(queue.dead_letters)}),
        Gauges(of.VARIANTS, variants),
        Gauges(of.ROLLOUT_WEIGHT, weights),
        Gauges(of.ALARMS, {(): alarms}),
    )
