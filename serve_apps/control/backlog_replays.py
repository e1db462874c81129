"""Asks for the replays that plans declare, so that a rollout's evidence begins with studies of the past.

Level-triggered: as soon as a step was reached that declares one, the candidate is served, and the run has none. A
replay that somebody cancelled is not asked for again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from canary.rollout.plan import declared_replay
from canary.rollout.status import RolloutPhase, RolloutStatus
from core.errors import SerinusError
from ledger import ReplayState, StoredReplay, StoredRollout
from serve_apps.application.messages import app_name
from serve_apps.application.replay import ReplayOrder
from serve_apps.application.routing_snapshot import RoutingSnapshot

logger = logging.getLogger("serinus.backlog_replays")
ROLLOUT: Final = "rollout"  # who asks
MOST_REPLAYS: Final = 1_000


class RolloutRows(Protocol):
    """`ledger.rollouts`; raises LedgerUnavailable."""

    def newest(self) -> Sequence[StoredRollout]: ...


class ReplayRows(Protocol):
    """`ledger.replays`, as far as they are told; raises LedgerUnavailable."""

    def newest(self, limit: int, model: str | None = None) -> Sequence[StoredReplay]: ...


class Replays(Protocol):
    """`application.replay.Replays`. Raises ReplayRefused and LedgerUnavailable."""

    def start(
        self, order: ReplayOrder, snapshot: RoutingSnapshot, actor: str
    ) -> tuple[StoredReplay, bool]: ...


@dataclass(slots=True)
class BacklogReplays:
    """One call at a time. `_asked` remembers the runs of which the ledger need not be asked any more."""

    rollouts: RolloutRows
    rows: ReplayRows
    replays: Replays
    _asked: set[tuple[str, int]] = field(default_factory=set)

    def look(self, snapshot: RoutingSnapshot) -> None:
        """Look at every rollout once. What fails for one holds up no other. Raises LedgerUnavailable."""
        if snapshot.is_empty or snapshot.is_frozen:
            return
        for stored in self.rollouts.newest():
            status = stored.status
            last = declared_replay(stored.plan, status.step)
            if not last or not _may_begin(status, snapshot) or (status.model, status.run) in self._asked:
                continue
            try:
                self._ask(status, last, snapshot)
            except SerinusError as error:
                about = {"model": status.model, "run": status.run, "error": error.code}
                logger.warning("backlog_replays.not_asked", extra=about)

    def _ask(self, status: RolloutStatus, last: int, snapshot: RoutingSnapshot) -> None:
        own = [one for one in self.rows.newest(MOST_REPLAYS, status.model) if _is_of(one, status)]
        if all(one.state is ReplayState.ASKING for one in own):  # none, or one whose beginning broke off
            order = ReplayOrder(status.model, status.candidate, last)
            replay, _ = self.replays.start(order, snapshot, ROLLOUT)
            about = {"model": status.model, "run": status.run, "replay": replay.id}
            logger.info("backlog_replays.asked", extra=about)
        self._asked.add((status.model, status.run))


def _may_begin(status: RolloutStatus, snapshot: RoutingSnapshot) -> bool:
    """Whether the candidate is compared now with the champion of the run, and is served."""
    table = snapshot.tables.get(status.model)
    is_compared = table is not None and table.champion.version == status.stable
    is_served = app_name(status.model, status.candidate) in snapshot.endpoints
    return status.phase is RolloutPhase.PROGRESSING and is_compared and is_served


def _is_of(replay: StoredReplay, status: RolloutStatus) -> bool:
    about = replay.about
    return (replay.actor, about.candidate, about.run) == (ROLLOUT, status.candidate, status.run)
