"""Numbers each new snapshot, brings it to every replica, and writes it into the ledger beside it.

    offer ──► push to every replica (in milliseconds)          a replica that missed it reads the ledger
          └─► write: aliases that moved, then snapshot and state     a next controller starts from here

One controller leads, the newest wins: its epoch orders its snapshots before all of the former one's. A controller
whose write is refused because a newer one leads stands down. One that finds itself behind its routers, as after the
ledger was lost or restored from a backup, takes an epoch above theirs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol

from core.codec import from_json, to_json
from core.errors import CorruptControlState, LeadershipLost, SerinusError
from serve_apps.application.routing_snapshot import RoutingSnapshot, SnapshotVersion
from serve_apps.application.routing_state import NOTHING_PUBLISHED, Confirmation, RoutingBroadcast
from serve_apps.control.state import ControllerState

logger = logging.getLogger("serinus.publish")
AGAIN_S = 1.0
RENEW_S = 3.0
LEADER_SILENCE = timedelta(seconds=20)  # of a leader that renews every few seconds: it is gone
BEHIND_GRACE_S = 10.0
LOOK_AGAIN_S = 30.0  # at the record in the ledger, which somebody may damage or replace
PASSING_ALARM_S = 3600.0
UNREADABLE = "the control state was unreadable; this controller started from MLflow and the ledger"
REPLACED = "the control state in the ledger was not what was written, and was written again"
FORGOTTEN = "the ledger had forgotten the routers' epoch: it was lost, or restored from a backup"


class ControlStore(Protocol):
    """`ledger.control`. `publish` raises LeadershipLost, `load` CorruptControlState, all LedgerUnavailable."""

    def take_leadership(self, holder: str, at_least: int = 0) -> int: ...
    def renew_leadership(self, epoch: int) -> bool: ...
    def publish(self, epoch: int, generation: int, snapshot_json: str, states_json: str) -> None: ...
    def load(self) -> Any: ...
    def head(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Move:
    """An alias that moved from one version to another; None stands for no version."""

    model: str
    alias: str
    old: str | None
    new: str | None
    generation: int


NoteMoves = Callable[[Sequence[Move]], None]


class Publisher:
    """Numbers snapshots and brings them out, while it leads.

    `note_moves` writes aliases that moved into the ledger; the same move twice is written once.
    """

    def __init__(
        self,
        store: ControlStore,
        broadcast: RoutingBroadcast,
        holder: str,
        note_moves: NoteMoves,
        clock: Callable[[], float] = time.monotonic,
        executor: Executor | None = None,
    ) -> None:
        self._store = store
        self._broadcast = broadcast
        self._holder = holder
        self._note_moves = note_moves
        self._clock = clock
        self._executor = executor or ThreadPoolExecutor(1, "publish")
        self._snapshot = RoutingSnapshot()
        self._state = ControllerState()
        self._moves: tuple[Move, ...] = ()
        self._push_due = self._write_due = self._is_writing = False
        self._behind_since: float | None = None
        self._renew_at = 0.0
        self._written = NOTHING_PUBLISHED
        self._look_at = 0.0
        self._alarms: dict[str, str] = {}
        self._passing_alarms: dict[str, tuple[float, str]] = {}  # until when
        self._wake = asyncio.Event()
        self._electing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.epoch = 0
        self.is_leader = False

    @property
    def snapshot(self) -> RoutingSnapshot:
        """The newest: what was published last, also by the controller before this one."""
        return self._snapshot

    @property
    def alarms(self) -> Mapping[str, str]:
        """What is wrong between this controller, its routers and the ledger; each sentence stays as it is."""
        now = self._clock()
        return self._alarms | {k: text for k, (until, text) in self._passing_alarms.items() if now < until}

    async def lead(self) -> ControllerState | None:
        """Take a new epoch, and what the last controller left; None where there is nothing or it is unreadable.

        Raises LedgerUnavailable.
        """
        self.epoch = await self._in_thread(lambda: self._store.take_leadership(self._holder))
        self.is_leader = True
        logger.info("controller.leads", extra={"epoch": self.epoch})
        try:
            record = await self._in_thread(self._store.load)
            if record is None:
                return None
            state = from_json(ControllerState, record.states_json)
            self._snapshot = from_json(RoutingSnapshot, record.snapshot_json)
        except (CorruptControlState, ValueError) as error:
            logger.error("controller.state_unreadable", extra={"error": type(error).__name__})
            self._alarm_for_a_while("control state", UNREADABLE)
            return None
        self._state = state
        return state

    async def should_lead(self) -> bool:
        """Whether this controller, which stood down, is to lead again: the one that it stood down for is gone.

        Raises LedgerUnavailable.
        """
        if self.is_leader or self._clock() < self._renew_at:
            return False
        self._renew_at = self._clock() + RENEW_S
        head = await self._in_thread(self._store.head)
        return head.renewed_at is None or bool(head.at - head.renewed_at > LEADER_SILENCE)

    def offer(self, content: RoutingSnapshot, state: ControllerState, moves: Sequence[Move] = ()) -> None:
        """Publish `content` if it differs from the last or this epoch has published none; keep `state` with it."""
        if not self.is_leader:
            return
        last = self._snapshot
        numbered = replace(content, epoch=self.epoch, generation=last.generation)
        if numbered != last:
            self._renumber(numbered)
        elif state == self._state and not moves:
            return
        self._state, self._moves = state, (*self._moves, *moves)
        self._write_due = True
        self._wake.set()

    async def run_forever(self) -> None:
        while True:
            self._begin()
            try:
                async with asyncio.timeout(AGAIN_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def flush(self) -> None:
        """Push and write what is due, and wait for both."""
        self._begin()
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        """Begin what is due, each on its own: a push waits neither for the disk, nor for a replica that did not
        confirm the last one.
        """
        self._wake.clear()
        if not self.is_leader:
            return
        if self._push_due and self._snapshot.epoch == self.epoch:
            self._push_due = False
            self._spawn(self._push(self._snapshot))
        if self._write_due and not self._is_writing and self._snapshot.epoch == self.epoch:
            self._write_due, self._is_writing = False, True
            self._spawn(self._write(self._snapshot, self._state, self._moves))
        if self._clock() >= self._renew_at:
            self._renew_at = self._clock() + RENEW_S
            self._spawn(self._renew())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _renumber(self, content: RoutingSnapshot) -> None:
        generation = max(self._snapshot.generation, 0) + 1
        self._snapshot = replace(content, epoch=self.epoch, generation=generation)
        self._push_due = True
        logger.info("controller.snapshot", extra={"epoch": self.epoch, "generation": generation})

    async def _push(self, snapshot: RoutingSnapshot) -> None:
        confirmations = await self._broadcast.publish(snapshot)
        newest = max((c.newest for c in confirmations if c.newest is not None), default=snapshot.version)
        if newest > self._snapshot.version:
            await self._overtaken(self.epoch, newest.epoch)
        elif snapshot is self._snapshot:
            self._note(confirmations)

    def _note(self, confirmations: Sequence[Confirmation]) -> None:
        """Have those asked again that do not hold the snapshot; for longer it is an alarm."""
        behind = [c for c in confirmations if c.confirmed < c.replicas]
        if not behind and any(c.replicas for c in confirmations):
            self._behind_since = None
            self._alarms.pop("routers", None)
            return
        self._push_due = True
        if self._behind_since is None:
            self._behind_since = self._clock()
        if self._clock() - self._behind_since > BEHIND_GRACE_S:
            which = " and ".join(c.deployment for c in behind) or "any deployment"
            self._alarms["routers"] = f"replicas of {which} have not taken the newest snapshot"

    async def _write(
        self, snapshot: RoutingSnapshot, state: ControllerState, moves: tuple[Move, ...]
    ) -> None:
        try:
            await self._in_thread(lambda: self._store_all(snapshot, state, moves))
            self._alarms.pop("ledger", None)
            self._written = snapshot.version
            self._moves = self._moves[len(moves) :]
        except LeadershipLost:
            await self._overtaken(snapshot.epoch, snapshot.epoch)
        except Exception as error:  # noqa: BLE001 - the disk may be full: the routers have it, and it is tried again
            code = error.code if isinstance(error, SerinusError) else type(error).__name__
            self._alarms["ledger"] = f"the newest snapshot is not recorded in the ledger: {code}"
            logger.error("controller.not_recorded", extra={"error": code})
            self._write_due = self._push_due = (
                True  # a replica that starts now finds an older one in the ledger
            )
        finally:
            self._is_writing = False

    def _store_all(self, snapshot: RoutingSnapshot, state: ControllerState, moves: tuple[Move, ...]) -> None:
        """Write moves, then snapshot and state: after a crash in between the moves are noted again, and are one."""
        self._note_moves(moves)
        texts = to_json(RoutingSnapshot, snapshot), to_json(ControllerState, state)
        self._store.publish(snapshot.epoch, snapshot.generation, *texts)

    async def _renew(self) -> None:
        epoch = self.epoch
        try:
            if not await self._in_thread(lambda: self._store.renew_leadership(epoch)):
                await self._overtaken(epoch, epoch)
            elif self._clock() >= self._look_at and not self._is_writing:
                self._look_at = self._clock() + LOOK_AGAIN_S
                await self._look_at_record()
        except Exception as error:  # noqa: BLE001 - a ledger that is away is no reason to stand down
            logger.warning("controller.not_renewed", extra={"error": type(error).__name__})

    async def _look_at_record(self) -> None:
        """Write the record again if it is not what was written: a replica that starts would obey it."""
        written = self._written
        try:
            record = await self._in_thread(self._store.load)
            found = record and SnapshotVersion(record.epoch, record.generation)
        except CorruptControlState:
            found = None
        if written == self._written != NOTHING_PUBLISHED and found != written:
            logger.error("controller.record_replaced", extra={"epoch": self.epoch})
            self._alarm_for_a_while("control state", REPLACED)
            self._write_due = True
            self._wake.set()

    async def _overtaken(self, own: int, other: int) -> None:
        """In epoch `own`, somebody was found to hold `other` or a newer one. If a newer controller leads, this one
        stands down; else the ledger has forgotten, and an epoch above both brings routers and ledger together again.
        """
        async with self._electing:
            if own != self.epoch or not self.is_leader:
                return
            try:
                await self._stand_down_or_lead_again(max(own, other) + 1)
            except Exception as error:  # noqa: BLE001 - the ledger may be away: it is asked again
                logger.warning("controller.not_leading", extra={"error": type(error).__name__})
                self._push_due = self._write_due = True

    async def _stand_down_or_lead_again(self, at_least: int) -> None:
        head = await self._in_thread(self._store.head)
        if head.leader_epoch > self.epoch:
            self.is_leader = False
            logger.error("controller.stands_down", extra={"epoch": self.epoch})
            return
        self.epoch = await self._in_thread(lambda: self._store.take_leadership(self._holder, at_least))
        logger.error("controller.leads_again", extra={"epoch": self.epoch})
        self._alarm_for_a_while("epoch", FORGOTTEN)
        if not self._snapshot.is_empty:
            self._renumber(self._snapshot)
            self._write_due = True
        self._wake.set()

    def _alarm_for_a_while(self, subject: str, sentence: str) -> None:
        self._passing_alarms[subject] = (self._clock() + PASSING_ALARM_S, sentence)

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
