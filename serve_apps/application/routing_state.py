"""The routing snapshot as one replica of Ingress, JobWorker or ShadowWorker holds it, and the freeze over it.

    controller ──push──► take ─┐                    ledger ──looked at 5 times a second──► follow_forever
    an Ingress ──push──► take_freeze ─► snapshot  ◄───────────────────────────────────────────┘

The replica keeps its last snapshot until a newer one comes, whatever happens to controller and ledger. A freeze
needs neither: it is taken in memory at once. What does not agree is said in `alarm`, which `serinus status` shows.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from core.codec import from_json
from core.errors import SerinusError
from serve_apps.application.messages import ServedVersion
from serve_apps.application.routing_snapshot import (
    FreezeNotice,
    RoutingSnapshot,
    SnapshotVersion,
    with_freeze,
    with_loading,
)

logger = logging.getLogger("serinus.routing_state")
POLL_S = 0.2
UNCHANGED_S = 1.0  # a ledger that nobody writes to is asked all the same: is the controller silent?
PUBLISH_GRACE_S = 5.0  # a snapshot is pushed first and written after
SETTLE_S = 1.0  # longer than a push may take: until then a look at the ledger may be older than a push
SILENCE = timedelta(seconds=30)  # the controller renews its leadership every few seconds

NOTHING_PUBLISHED = SnapshotVersion(0, 0)

T = TypeVar("T")
Prepare = Callable[[Mapping[str, ServedVersion]], Awaitable[Collection[str] | None]]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How many of a deployment's replicas took a message in time. `newest`: the newest snapshot any of them holds."""

    deployment: str
    confirmed: int
    replicas: int
    newest: SnapshotVersion | None = None


class RoutingBroadcast(Protocol):
    """Every replica that holds a RoutingState; answers after a second at the latest."""

    async def freeze(self, notice: FreezeNotice) -> tuple[Confirmation, ...]: ...
    async def publish(self, snapshot: RoutingSnapshot) -> tuple[Confirmation, ...]: ...


class ControlHead(Protocol):
    """One cheap read of the ledger: the newest snapshot's version, and the freeze at a routing revision.

    `renewed_at` is when a controller last said that it leads; `at` is the database's time of the read.
    """

    @property
    def epoch(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def routing_revision(self) -> int: ...
    @property
    def frozen(self) -> bool: ...
    @property
    def renewed_at(self) -> datetime | None: ...
    @property
    def at(self) -> datetime: ...


class ControlRecord(Protocol):
    """The last snapshot that a controller wrote, as JSON."""

    @property
    def snapshot_json(self) -> str: ...


class ControlReader(Protocol):
    """What a replica reads of `ledger.control`; all raise SerinusError.

    `mark` is another one after whatever was written; None where that cannot be told.
    """

    def mark(self) -> object: ...
    def head(self) -> ControlHead: ...
    def load(self) -> ControlRecord | None: ...


async def prepare_nothing(endpoints: Mapping[str, ServedVersion]) -> None:
    """No handles to make."""


class RoutingState:
    """Holds the snapshot in force.

    `prepare` is given the endpoints before a snapshot comes into force: to make handles, and to drop old ones.

    It may return the applications that do not exist: a snapshot that was read from the ledger is older than the
    cluster, where that was stopped and started, and its champions are then still loading.
    """

    def __init__(
        self,
        control: ControlReader,
        prepare: Prepare = prepare_nothing,
        clock: Callable[[], float] = time.monotonic,
        executor: Executor | None = None,
        pause: Callable[[float], bool] | None = None,
    ) -> None:
        """`executor` is this object's alone; `pause` waits in its thread, and says whether this was closed."""
        self._control = control
        self._prepare = prepare
        self._clock = clock
        self._closed = threading.Event()
        self._pause = pause or self._closed.wait
        self._mark: object = None
        self._executor = executor or ThreadPoolExecutor(1, "routing-state")
        self._snapshot = RoutingSnapshot()
        self._freeze = FreezeNotice(False, 0)
        self._freeze_at = clock() - SETTLE_S
        self._controller_is_silent = False
        self._ledger_alarm: str | None = None
        self._older_since: float | None = None

    @property
    def snapshot(self) -> RoutingSnapshot:
        """What is in force here; empty, and answering NotReady, before the first."""
        return self._snapshot

    @property
    def alarm(self) -> str | None:
        """What does not agree between this replica, the ledger and the controller; None when all is well."""
        if self._ledger_alarm is not None:
            return self._ledger_alarm
        if self.is_unrecorded:
            return "this replica obeys a freeze that the ledger has not recorded"
        return "the controller has not been heard for half a minute" if self._controller_is_silent else None

    @property
    def is_unrecorded(self) -> bool:
        """Whether a freeze is obeyed that the ledger has not.

        It ends when it is recorded and lifted, or by a person's `unfreeze`; not by the ledger's silence.
        """
        return self._freeze.frozen and self._freeze.revision is None

    async def start(self) -> None:
        """Take the last snapshot that the ledger has. What is not there or cannot be read is waited for."""
        await self.follow()

    async def take(self, snapshot: RoutingSnapshot) -> SnapshotVersion:
        """Take a newer snapshot; returns the version that is in force here."""
        await self._take(snapshot)
        return self._snapshot.version

    def take_freeze(self, notice: FreezeNotice) -> FreezeNotice:
        """Take what somebody decided about the freeze, unless a later decision is known; returns what holds."""
        known = self._freeze.revision
        if notice.revision is None or known is None or notice.revision >= known:
            self._obey(notice)
            self._freeze_at = self._clock()
        return self._freeze

    async def follow_forever(self) -> None:
        """Follow the ledger. It is looked at in a thread that wakes nobody while nothing was written."""
        while True:
            await self.follow()
            await self._ask(self._wait_for_news)

    async def follow(self) -> None:
        """Ask the ledger once: obey its freeze, take its snapshot if that is newer."""
        try:
            asked_at = self._clock()
            head = await self._ask(self._read_head)
            self._note_head(head, asked_at)
            stored = SnapshotVersion(head.epoch, head.generation)
            self._controller_is_silent = head.renewed_at is None or head.at - head.renewed_at > SILENCE
            if stored > max(self._snapshot.version, NOTHING_PUBLISHED):
                await self._load()
            self._note_version(stored)
        except SerinusError as error:
            self._alarm(f"the control state cannot be read from the ledger: {error.detail}")
        except ValueError:
            self._alarm("the snapshot in the ledger cannot be read: it is no routing snapshot")
        except Exception as error:  # noqa: BLE001 - what this loop runs into must not end it
            self._alarm(f"the control state cannot be read from the ledger: {type(error).__name__}")

    def close(self) -> None:
        self._closed.set()
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _take(self, snapshot: RoutingSnapshot) -> None:
        if snapshot.version <= self._snapshot.version:
            return
        if not self.is_unrecorded or snapshot.freeze.frozen:
            self.take_freeze(snapshot.freeze)
        missing = await self._prepare(snapshot.endpoints) or ()
        if snapshot.version > self._snapshot.version:  # a newer one may have come meanwhile
            frozen = with_freeze(snapshot, frozen=self._freeze.frozen)
            self._snapshot = with_loading(frozen, missing) if missing else frozen

    def _read_head(self) -> ControlHead:
        self._mark = self._control.mark()  # first: what is written in between is then news
        return self._control.head()

    def _wait_for_news(self) -> None:
        """Wait until something was written since the last look, for UNCHANGED_S at most."""
        until = self._clock() + UNCHANGED_S
        with suppress(Exception):  # `follow` tells what is wrong
            while not self._pause(POLL_S) and self._clock() < until:
                mark = self._control.mark()
                if mark is None or mark != self._mark:
                    return

    async def _load(self) -> None:
        record = await self._ask(self._control.load)
        if record is not None:
            await self._take(from_json(RoutingSnapshot, record.snapshot_json))

    def _note_head(self, head: ControlHead, asked_at: float) -> None:
        """The ledger's word on the freeze. A lower revision counts too, once no push can have overtaken it: a ledger
        that was restored from a backup must be heard. It ends no freeze that it has forgotten.
        """
        notice, last = FreezeNotice(head.frozen, head.routing_revision), self._freeze
        if last.revision is None:
            if notice.frozen or not last.frozen:
                self._obey(notice)
        elif head.routing_revision >= last.revision:
            self._obey(notice)
        elif asked_at - self._freeze_at >= SETTLE_S:
            self._obey(FreezeNotice(True) if last.frozen and not notice.frozen else notice)

    def _obey(self, notice: FreezeNotice) -> None:
        if notice.frozen is not self._freeze.frozen:
            logger.warning("routing.freeze", extra={"frozen": notice.frozen, "revision": notice.revision})
        self._freeze = notice
        self._snapshot = with_freeze(self._snapshot, frozen=notice.frozen)

    def _note_version(self, stored: SnapshotVersion) -> None:
        """The ledger may be behind for a moment; for longer it was restored, or the controller cannot write."""
        if self._snapshot.is_empty or stored >= self._snapshot.version:
            self._older_since = None
            self._alarm(None)
            return
        if self._older_since is None:
            self._older_since = self._clock()
        if self._clock() - self._older_since > PUBLISH_GRACE_S:
            here, there = self._snapshot.version, stored
            self._alarm(
                f"the ledger's control state ({there.epoch}, {there.generation}) is older than this replica's "
                f"({here.epoch}, {here.generation})"
            )

    def _alarm(self, sentence: str | None) -> None:
        if sentence is not None and sentence != self._ledger_alarm:
            logger.error("routing.disagreement", extra={"reason": sentence})
        self._ledger_alarm = sentence

    async def _ask(self, read: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, read)
