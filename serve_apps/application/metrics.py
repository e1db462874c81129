"""What Prometheus scrapes: what the records of studies add up to, and how the site stands at this moment."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from core.priority import Priority
from ledger import Ledger, SignalSeen, StoredRollout, StoredVerdict, WaitingJobs
from observability.metrics import instruments as of
from observability.metrics.exposition import Gauges, exposition_of
from observability.metrics.series import Key, Series
from serve_apps.application.executors import run_in
from serve_apps.application.overview import QueueState
from serve_apps.application.routing_snapshot import RoutingSnapshot

Values: TypeAlias = dict[tuple[str, ...], float]
MOST_SIGNALS: Final = 24


CountReplicas: TypeAlias = Callable[[], Awaitable[Mapping[str, int]]]
"""How many replicas live of each application, by Serve's own account; none where it says nothing."""


async def nobody_counts() -> Mapping[str, int]:
    return {}


@dataclass(frozen=True, slots=True)
class MetricsNow:
    """What is added up, and how the site stands."""

    series: Mapping[Key, Series]
    gauges: tuple[Gauges, ...]


class Overview(Protocol):
    """`application.overview.OverviewService`. Raises LedgerUnavailable."""

    def snapshot(self) -> RoutingSnapshot: ...
    async def queue(self, tenant: str | None = None) -> QueueState: ...
    async def alarms(self) -> Mapping[str, str]: ...


class MetricsService:
    """Every replica tells the same, since all of it stands in the ledger, the snapshot and Serve's own account."""

    def __init__(
        self,
        ledger: Ledger,
        overview: Overview,
        executor: Executor,
        replicas: CountReplicas = nobody_counts,
        costs: Callable[[], tuple[Gauges, ...]] = tuple,
    ) -> None:
        self._ledger = ledger
        self._overview = overview
        self._executor = executor
        self._replicas = replicas
        self._costs = costs

    async def exposition(self) -> str:
        """OpenMetrics text. Raises LedgerUnavailable: a scrape that fails is better than one that tells half."""
        now = await self.now()
        return exposition_of(now.series, now.gauges, of.OF_RECORDS)

    async def now(self) -> MetricsNow:
        """All that is told. Raises LedgerUnavailable."""
        series = await run_in(self._executor, self._ledger.metrics.all)
        rollouts = await run_in(self._executor, self._ledger.rollouts.newest)
        waiting = await run_in(self._executor, self._ledger.jobs.waiting)
        queue, alarms = await self._overview.queue(), await self._overview.alarms()
        snapshot, replicas = self._overview.snapshot(), await self._replicas()
        gauges = gauges_of(queue, snapshot, rollouts, len(alarms))
        costs = await run_in(self._executor, self._costs)
        drift = drift_gauges(await run_in(self._executor, self._ledger.drift_verdicts.all), snapshot)
        living = gauge_of_replicas(snapshot, replicas)
        return MetricsNow(series, (*gauges, *gauges_of_waiting(waiting), living, *costs, *drift))


def gauges_of_waiting(waiting: Mapping[Priority, WaitingJobs]) -> tuple[Gauges, ...]:
    """What waits for a worker, by priority."""
    return (
        Gauges(of.QUEUED, {(name.value,): jobs.number for name, jobs in waiting.items()}),
        Gauges(
            of.OLDEST_QUEUED, {(name.value,): jobs.oldest.total_seconds() for name, jobs in waiting.items()}
        ),
    )


def gauge_of_replicas(snapshot: RoutingSnapshot, replicas: Mapping[str, int]) -> Gauges:
    """The replicas that live, by version; `replicas` by application. Of one that is not named nothing is told."""
    versions = {app: (one.model, one.version) for app, one in snapshot.endpoints.items()}
    return Gauges(of.REPLICAS, {versions[app]: number for app, number in replicas.items() if app in versions})


def drift_gauges(verdicts: Sequence[StoredVerdict], snapshot: RoutingSnapshot) -> tuple[Gauges, ...]:
    """What was found of versions in service; nothing of one at which nobody looked since a person did.

    Of all signals of the site those with most evidence are told, so that what is scraped stays small.
    """
    in_service = {(one.model, one.version) for one in snapshot.variants}
    found = [
        ((one.model, one.version), one.seen)
        for one in verdicts
        if one.seen is not None and (one.model, one.version) in in_service
    ]
    every: dict[tuple[str, ...], SignalSeen] = {
        (*version, signal.signal): signal for version, seen in found for signal in seen.signals
    }
    strongest = sorted(every, key=lambda labels: _strength(every[labels]), reverse=True)[:MOST_SIGNALS]
    signals = {labels: every[labels] for labels in strongest}
    armed: Values = {labels: one.log10_m for labels, one in signals.items() if one.log10_m is not None}
    return (
        Gauges(of.DRIFT_STATE, {(*version, seen.state.value): 1 for version, seen in found}),
        Gauges(of.DRIFT_ARMED, {labels: float(labels in armed) for labels in signals}),
        Gauges(of.DRIFT_EVIDENCE, armed),
        Gauges(of.DRIFT_LIMIT, {version: seen.log10_limit for version, seen in found}),
        Gauges(of.DRIFT_PSI, {labels: one.psi for labels, one in signals.items()}),
    )


def _strength(seen: SignalSeen) -> tuple[float, float]:
    return (-math.inf if seen.log10_m is None else seen.log10_m, seen.psi)


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
    wanted: Values = {
        (one.model, one.version): one.replicas_wanted
        for one in snapshot.variants
        if one.replicas_wanted is not None
    }
    return (
        Gauges(of.JOBS, {(state,): number for state, number in queue.jobs.items()}),
        Gauges(of.PENDING_SHADOWS, {version: number for version, number in queue.pending_shadows.items()}),
        Gauges(of.OLDEST_SHADOW, {(): oldest_s}),
        Gauges(of.DEAD_LETTERS, {(): len(queue.dead_letters)}),
        Gauges(of.VARIANTS, variants),
        Gauges(of.ROLLOUT_WEIGHT, weights),
        Gauges(of.ALARMS, {(): alarms}),
        Gauges(of.REPLICAS_WANTED, wanted),
    )
