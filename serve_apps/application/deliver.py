"""Carries out the outbox: reports back to their source, callbacks and notices to their hosts. At least once, each in
its lane.

A lane is the store or host that a delivery goes to. What hangs there fills its own lane and no other. A report's UIDs
are derived from its input and version, so one that is stored again after a crash replaces itself.

    due ──► in hand ──► done | dead letter       a lease that runs out makes it due again
     ▲         │
     └─────────┘  failed: again by class and age (core.retry)
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from typing import ParamSpec, Protocol, TypeVar

from core.clock import now
from core.errors import DeadlineExceeded, LedgerUnavailable, SerinusError
from core.retry import Attempts, FailureClass, RetryDecision, RetryPolicy, after_failure
from ledger import FINISHED, ClaimedDelivery, Job, JobState
from serve_apps.application import deliveries
from serve_apps.application.executors import run_in
from serve_apps.application.until_noted import LeaseKeeping, until_noted
from serve_apps.application.wakeups import Wakeup
from serve_apps.application.watched_jobs import WatchedJobs

logger = logging.getLogger("serinus.outbox")
UNEXPECTED = "unexpected-error"

P = ParamSpec("P")
T = TypeVar("T")


class DeliveryRows(Protocol):
    """What is due and how it went, in the ledger."""

    def claim_of_job(
        self, job_id: str, worker: str, lease_s: float, busy_destinations: Collection[str]
    ) -> tuple[ClaimedDelivery, ...]: ...

    def claim_deliveries(
        self, worker: str, lease_s: float, limit: int, busy_destinations: Collection[str]
    ) -> tuple[ClaimedDelivery, ...]: ...

    def delivered(self, delivery_id: str, seconds: float = 0.0) -> None: ...

    def delivery_failed(
        self, delivery_id: str, worker: str, error_code: str, *, retry_at: datetime | None
    ) -> None: ...


class FinishedJobs(Protocol):
    """The jobs that deliveries belong to."""

    def document(self, job_id: str, kind: str) -> bytes: ...

    def get(self, job_id: str) -> Job: ...


class ReportStore(Protocol):
    """Stores a Part 10 file at a source; what it began has ended after `deadline_s`, also when it is cancelled."""

    async def store(self, source_id: str, content: bytes, deadline_s: float) -> None: ...


class CallbackSender(Protocol):
    """Posts a body to a caller's URL under the delivery's id, signed; raises SerinusError when it is not taken."""

    async def send(self, url: str, delivery_id: str, body: bytes, deadline_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """Seconds and counts. A lease is renewed while its delivery is under way, which is at most `deadline_s`."""

    deadline_s: float = 120.0
    lease_s: float = 15.0
    idle_s: float = 2.0
    note_again_s: float = 1.0
    per_lane: int = 4
    in_all: int = 32

    def __post_init__(self) -> None:
        if not 0 < self.per_lane < self.in_all:
            raise ValueError("one lane must not take all the places")


@dataclass(frozen=True, slots=True)
class DeliveryContext:
    """What deliveries need of the outside; the ledger's calls run in `executor`."""

    worker: str
    rows: DeliveryRows
    jobs: FinishedJobs
    store: ReportStore
    callbacks: CallbackSender
    watched: WatchedJobs
    leases: LeaseKeeping
    executor: Executor
    limits: DeliveryLimits = DeliveryLimits()
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    clock: Callable[[], datetime] = now


class OutboxDispatcher:
    """Delivers what a job has due when it is told to, and finds by itself what has come due again."""

    def __init__(self, context: DeliveryContext) -> None:
        self._c = context
        self._in_hand: dict[str, asyncio.Task[None]] = {}
        self._lanes: Counter[str] = Counter()
        self._claiming = asyncio.Lock()  # so that a claim knows what the one before it took
        self._wakeup = Wakeup()

    async def deliver(self, job_id: str) -> JobState:
        """Attempt once what the job has due, and return the job's state then.

        The attempts go on when the caller goes away. What goes to a full lane waits for its turn.
        """
        limits = self._c.limits
        async with self._claiming:
            claimed = await self._ledger(
                self._c.rows.claim_of_job, job_id, self._c.worker, limits.lease_s, self._full_lanes
            )
            attempts = [self._begin(delivery) for delivery in claimed]
        if attempts:
            await asyncio.wait(attempts)
        return await self._state(job_id)

    async def recover_forever(self) -> None:
        """Deliver what has come due again: retries, and what a lost outbox had in hand."""
        while True:
            try:
                await self.recover()
            except Exception as error:  # noqa: BLE001 - outermost loop: the ledger may be away for a while
                logger.warning("outbox.claim_failed", extra={"error": type(error).__name__})
            await self._wakeup.wait(self._c.limits.idle_s)

    async def recover(self) -> int:
        """Begin what is due as far as there is room; returns how many deliveries that were."""
        begun = 0
        while len(self._in_hand) < self._c.limits.in_all and await self._begin_next():
            begun += 1
        return begun

    async def drain(self) -> None:
        """Wait for what is under way; begin nothing new before that."""
        while self._in_hand:
            await asyncio.wait(tuple(self._in_hand.values()))

    async def _begin_next(self) -> bool:
        """Begin one delivery that is due; the next one may find its lane full."""
        async with self._claiming:
            claimed = await self._ledger(
                self._c.rows.claim_deliveries, self._c.worker, self._c.limits.lease_s, 1, self._full_lanes
            )
            for delivery in claimed:
                self._begin(delivery)
        return bool(claimed)

    @property
    def _full_lanes(self) -> frozenset[str]:
        return frozenset(lane for lane, number in self._lanes.items() if number >= self._c.limits.per_lane)

    def _begin(self, delivery: ClaimedDelivery) -> asyncio.Task[None]:
        if delivery.id in self._in_hand:  # its lease ran out while the ledger was away
            return self._in_hand[delivery.id]
        task = asyncio.create_task(self._attempt(delivery))
        self._in_hand[delivery.id] = task
        self._c.leases.keep(
            delivery.id, lambda: None
        )  # whoever has it then stores the same, under the same UID
        self._lanes[delivery.lane] += 1
        task.add_done_callback(lambda _: self._end(delivery))
        return task

    def _end(self, delivery: ClaimedDelivery) -> None:
        self._in_hand.pop(delivery.id, None)
        self._c.leases.drop(delivery.id)
        self._lanes[delivery.lane] -= 1
        if not self._lanes[delivery.lane]:
            del self._lanes[delivery.lane]
        self._wakeup.ring()  # a lane has room

    async def _attempt(self, delivery: ClaimedDelivery) -> None:
        """One attempt, and what the ledger is told of it. Whatever it raises counts: a poison delivery must end."""
        started = time.monotonic()
        try:
            await self._carry(delivery)
        except LedgerUnavailable:
            return  # nothing was sent; it comes due again when its lease has run out
        except Exception as error:  # noqa: BLE001 - the outermost of a delivery
            await self._note_failure(delivery, error)
        else:
            await self._note_arrival(delivery, time.monotonic() - started)
        await self._tell(delivery.job_id)

    async def _carry(self, delivery: ClaimedDelivery) -> None:
        deadline_s = self._c.limits.deadline_s
        try:
            async with asyncio.timeout(deadline_s):
                match delivery.kind:
                    case deliveries.CALLBACK | deliveries.NOTICE:
                        body = json.dumps(delivery.payload).encode()
                        message = deliveries.message_id(delivery)
                        await self._c.callbacks.send(delivery.destination, message, body, deadline_s)
                    case deliveries.STOW:
                        await self._store(delivery, deadline_s)
                    case _:
                        raise ValueError("no such kind of delivery")
        except TimeoutError:
            raise DeadlineExceeded(f"not delivered within {deadline_s:.0f} s") from None

    async def _store(self, delivery: ClaimedDelivery, deadline_s: float) -> None:
        content = await self._ledger(self._c.jobs.document, delivery.job_id, delivery.document or "")
        await self._c.store.store(delivery.destination, content, deadline_s)

    async def _note_arrival(self, delivery: ClaimedDelivery, seconds: float) -> None:
        """What arrived stays in hand until the ledger knows it, so that it is not carried again."""
        await until_noted(
            self._c.limits.note_again_s,
            lambda: self._ledger(self._c.rows.delivered, delivery.id, seconds),
        )

    async def _note_failure(self, delivery: ClaimedDelivery, error: Exception) -> None:
        code = error.code if isinstance(error, SerinusError) else UNEXPECTED
        decision = retry_of(delivery, error, self._c.clock(), self._c.retry)
        logger.warning(
            "outbox.failed", extra={"job": delivery.job_id, "code": code, "last": decision.at is None}
        )
        await until_noted(
            self._c.limits.note_again_s,
            lambda: self._ledger(
                self._c.rows.delivery_failed, delivery.id, self._c.worker, code, retry_at=decision.at
            ),
        )
        if decision.at is not None:
            self._wake_at(decision.at)

    async def _tell(self, job_id: str) -> None:
        """Tell whoever waits for the job, if this was the last of its deliveries."""
        if job_id not in self._c.watched:
            return
        try:
            if await self._state(job_id) in FINISHED:
                await self._c.watched.ended(job_id)
        except SerinusError:
            logger.info("outbox.end_not_told", extra={"job": job_id})

    async def _state(self, job_id: str) -> JobState:
        job = await self._ledger(self._c.jobs.get, job_id)
        return job.state

    def _wake_at(self, at: datetime) -> None:
        pause_s = max((at - self._c.clock()).total_seconds(), 0.0) + 0.01
        if pause_s < self._c.limits.idle_s:
            asyncio.get_running_loop().call_later(pause_s, self._wakeup.ring)

    async def _ledger(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await run_in(self._c.executor, call, *args, **kwargs)


def retry_of(delivery: ClaimedDelivery, error: Exception, at: datetime, policy: RetryPolicy) -> RetryDecision:
    """A destination that is away or too slow is tried for a day; what nobody foresaw, a few times."""
    behind = Attempts(delivery.attempt - 1, delivery.losses, delivery.created_at)
    return after_failure(failure_class(error), behind, at, policy)


def failure_class(error: Exception) -> FailureClass:
    if isinstance(error, DeadlineExceeded):
        return FailureClass.SOURCE_AWAY
    return error.failure if isinstance(error, SerinusError) else FailureClass.MODEL_FAILED
