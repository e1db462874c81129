"""The kill switch: all traffic to the champions, and nothing moves. It needs neither the controller nor the ledger.

freeze      every replica in memory at once, the ledger beside it; one of the two is enough to hold
unfreeze    the ledger first, then every replica; without the ledger it stays frozen
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, Protocol

from core.errors import LedgerUnavailable
from serve_apps.application.executors import run_in
from serve_apps.application.routing_snapshot import FreezeNotice
from serve_apps.application.routing_state import Confirmation

logger = logging.getLogger("serinus.freeze")
RECORD_AGAIN_S: Final = 2.0
RECORD_S: Final = 2.0  # a person waits; a ledger that answers later may still have recorded it


@dataclass(frozen=True, slots=True)
class FreezeOutcome:
    """Whether routing is frozen now, whether the ledger has recorded that, and whose replicas confirmed it."""

    frozen: bool
    recorded: bool
    confirmations: tuple[Confirmation, ...]

    @property
    def unconfirmed(self) -> int:
        """How many live replicas did not confirm in time."""
        return sum(c.replicas - c.confirmed for c in self.confirmations)

    @property
    def holds(self) -> bool:
        """Whether every replica obeys: all read a recorded one within a second; else each must have confirmed it."""
        return self.recorded or all(c.replicas > 0 and c.confirmed == c.replicas for c in self.confirmations)


class FreezeBroadcast(Protocol):
    """Tells every live replica that holds a routing snapshot. Bounded in time; never raises."""

    async def freeze(self, notice: FreezeNotice) -> tuple[Confirmation, ...]: ...


class RecordedFreeze(Protocol):
    """A freeze as the ledger has it."""

    @property
    def revision(self) -> int: ...


class FreezeRecord(Protocol):
    """What the freeze needs of `ledger.routing`; all raise LedgerUnavailable."""

    def freeze(self, *, actor: str, reason: str) -> RecordedFreeze: ...
    def unfreeze(self, *, actor: str) -> int: ...


class FreezeService:
    """Freezes and unfreezes routing. `executor` is its own: artifacts and reports in others must not hold it up.

    `is_unrecorded` says whether this process still obeys a freeze that the ledger has not: nobody has ended it.
    """

    def __init__(
        self,
        record: FreezeRecord,
        broadcast: FreezeBroadcast,
        executor: Executor,
        record_s: float = RECORD_S,
        is_unrecorded: Callable[[], bool] = lambda: True,
    ) -> None:
        self._record = record
        self._broadcast = broadcast
        self._executor = executor
        self._record_s = record_s
        self._is_unrecorded = is_unrecorded
        self._pending: tuple[str, str] | None = None  # reason and actor of a freeze that is to be recorded

    async def freeze(self, reason: str, actor: str) -> FreezeOutcome:
        """Have every replica obey in memory and the ledger record it, beside each other.

        Then each is told the revision: one that obeys a freeze without any would not hear the ledger end it.
        """
        confirmations, revision = await asyncio.gather(
            self._broadcast.freeze(FreezeNotice(frozen=True, revision=None)),
            self._recorded(reason, actor),
        )
        self._pending = None if revision is not None else (reason, actor)
        if revision is not None:
            confirmations = await self._broadcast.freeze(FreezeNotice(frozen=True, revision=revision))
        return FreezeOutcome(True, revision is not None, confirmations)

    async def unfreeze(self, actor: str) -> FreezeOutcome:
        """Record it, then tell every replica. Raises LedgerUnavailable, and then everything stays frozen."""
        revision = await run_in(self._executor, self._record.unfreeze, actor=actor)
        self._pending = None
        confirmations = await self._broadcast.freeze(FreezeNotice(frozen=False, revision=revision))
        return FreezeOutcome(False, True, confirmations)

    async def record_forever(self) -> None:
        """Record what the ledger did not take, once it is back: a replica that starts then asks nobody else."""
        while True:
            await asyncio.sleep(RECORD_AGAIN_S)
            try:
                await self.record_pending()
            except Exception as error:  # noqa: BLE001 - outermost loop
                logger.error("freeze.not_recorded", extra={"error": type(error).__name__})

    async def record_pending(self) -> None:
        """Try once more to record a freeze that was not, unless somebody has ended it meanwhile."""
        pending = self._pending
        if pending is None:
            return
        revision = await self._recorded(*pending) if self._is_unrecorded() else None
        if self._pending is not pending:
            return
        if revision is not None:
            await self._broadcast.freeze(FreezeNotice(frozen=True, revision=revision))
        if revision is not None or not self._is_unrecorded():
            self._pending = None

    async def _recorded(self, reason: str, actor: str) -> int | None:
        """The revision at which the ledger recorded the freeze, None if it did not in time."""
        try:
            async with asyncio.timeout(self._record_s):
                freeze = await run_in(self._executor, self._record.freeze, actor=actor, reason=reason)
        except (LedgerUnavailable, TimeoutError) as error:
            logger.error("freeze.not_recorded", extra={"error": type(error).__name__})
            return None
        return freeze.revision
