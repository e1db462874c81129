"""The outbox: each lane for itself, at least once, nothing twice by its own fault, and an end for what is poison."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import CallbackGone, LedgerUnavailable, ReportRefused, ReportRejected, SourceUnavailable
from core.retry import FailureClass, RetryPolicy
from ledger import NOTICE, ClaimedDelivery, JobState
from serve_apps.application.deliver import (
    UNEXPECTED,
    DeliveryContext,
    DeliveryLimits,
    OutboxDispatcher,
    failure_class,
    retry_of,
)
from serve_apps.application.watched_jobs import WatchedJobs
from tests.unit.shell.inline import Here, Keeper, settle

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def a_delivery(name: str, job_id: str = "job", lane: str = "pacs", **changes: Any) -> ClaimedDelivery:
    fields = {
        "id": name,
        "job_id": job_id,
        "kind": "stow",
        "destination": lane,
        "lane": lane,
        "document": "sr",
        "payload": None,
        "attempt": 1,
        "losses": 0,
        "created_at": NOON,
    }
    return ClaimedDelivery(**(fields | changes))


@dataclass
class Rows:
    """The ledger's outbox: what is due can be claimed once, as long as no lease has run out."""

    due: list[ClaimedDelivery] = field(default_factory=list)
    arrived: list[str] = field(default_factory=list)
    failed: list[tuple[str, str, bool]] = field(default_factory=list)  # id, code, whether it is the end
    away_times: int = 0

    def claim_of_job(
        self, job_id: str, worker: str, lease_s: float, busy_destinations: Collection[str]
    ) -> tuple[ClaimedDelivery, ...]:
        return self._take([d for d in self.due if d.job_id == job_id and d.lane not in busy_destinations])

    def claim_deliveries(
        self, worker: str, lease_s: float, limit: int, busy_destinations: Collection[str]
    ) -> tuple[ClaimedDelivery, ...]:
        return self._take([d for d in self.due if d.lane not in busy_destinations][:limit])

    def delivered(self, delivery_id: str, seconds: float = 0.0) -> None:
        if self.away_times > 0:
            self.away_times -= 1
            raise LedgerUnavailable("the database does not answer")
        self.arrived.append(delivery_id)

    def delivery_failed(
        self, delivery_id: str, worker: str, error_code: str, *, retry_at: datetime | None
    ) -> None:
        self.failed.append((delivery_id, error_code, retry_at is None))

    def _take(self, claimed: list[ClaimedDelivery]) -> tuple[ClaimedDelivery, ...]:
        self.due = [d for d in self.due if d not in claimed]
        return tuple(claimed)


@dataclass
class Jobs:
    states: dict[str, JobState] = field(default_factory=dict)

    def get(self, job_id: str) -> Any:
        return SimpleNamespace(state=self.states.get(job_id, JobState.STORING))

    def document(self, job_id: str, kind: str) -> bytes:
        return f"{kind} of {job_id}".encode()


@dataclass
class World:
    """PACS and callers' hosts: a destination hangs until it is let go, or raises."""

    stored: list[tuple[str, bytes]] = field(default_factory=list)
    called: list[tuple[str, bytes]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    hanging: dict[str, asyncio.Event] = field(default_factory=dict)
    raising: dict[str, Exception] = field(default_factory=dict)

    async def store(self, source_id: str, content: bytes, deadline_s: float) -> None:
        await self._reach(source_id)
        self.stored.append((source_id, content))

    async def send(self, url: str, delivery_id: str, body: bytes, deadline_s: float) -> None:
        await self._reach(url)
        self.called.append((url, body))
        self.messages.append(delivery_id)

    async def _reach(self, destination: str) -> None:
        if destination in self.raising:
            raise self.raising[destination]
        if destination in self.hanging:
            await self.hanging[destination].wait()


@dataclass
class Ingresses:
    ended: list[str] = field(default_factory=list)

    async def job_ended(self, job_id: str) -> None:
        self.ended.append(job_id)


class Outbox:
    """A dispatcher and all that it works with."""

    def __init__(self, *due: ClaimedDelivery, **limits: Any) -> None:
        self.rows, self.jobs, self.world, self.ingresses = Rows(list(due)), Jobs(), World(), Ingresses()
        self.watched, self.keeper = WatchedJobs(self.ingresses), Keeper()
        self.dispatcher = OutboxDispatcher(
            DeliveryContext(
                "outbox-1",
                self.rows,
                self.jobs,
                self.world,
                self.world,
                self.watched,
                self.keeper,
                Here(),
                DeliveryLimits(**({"note_again_s": 0.0} | limits)),
                clock=lambda: NOON,
            )
        )


async def test_what_a_job_has_due_is_delivered_byte_for_byte_and_its_state_returned() -> None:
    callback = a_delivery(
        "c", lane="ris", kind="callback", destination="https://ris/", document=None, payload={"job": "job"}
    )
    outbox = Outbox(a_delivery("s"), callback, a_delivery("x", job_id="other"))
    outbox.jobs.states["job"] = JobState.COMPLETED
    assert await outbox.dispatcher.deliver("job") is JobState.COMPLETED
    assert outbox.world.stored == [("pacs", b"sr of job")]
    assert outbox.world.called == [("https://ris/", b'{"job": "job"}')]
    assert sorted(outbox.rows.arrived) == ["c", "s"]
    assert [d.id for d in outbox.rows.due] == ["x"]


async def test_a_pacs_that_hangs_holds_up_nobody_else() -> None:
    hung = [a_delivery(f"h{n}", f"job-h{n}", lane="hung") for n in range(10)]
    outbox = Outbox(*hung, *(a_delivery(f"w{n}", f"job-w{n}", lane="well") for n in range(10)))
    outbox.world.hanging["hung"] = asyncio.Event()
    await outbox.dispatcher.recover()
    await settle()
    await outbox.dispatcher.recover()
    await settle()
    await outbox.dispatcher.recover()
    await settle()
    assert len(outbox.rows.arrived) == 10
    assert all(name.startswith("w") for name in outbox.rows.arrived)
    assert len(outbox.rows.due) == 6, "of the hung lane only as many as it has places are in hand"


async def test_studies_that_end_meanwhile_do_not_pile_up_in_a_lane_that_hangs() -> None:
    outbox = Outbox(
        *(a_delivery(f"h{n}", f"job-{n}", lane="hung") for n in range(9)),
        *(a_delivery(f"c{n}", f"job-{n}", lane="ris", kind="callback", payload={}) for n in range(9)),
    )
    outbox.world.hanging["hung"] = asyncio.Event()
    calls = [asyncio.create_task(outbox.dispatcher.deliver(f"job-{n}")) for n in range(9)]
    await settle()
    assert len([name for name in outbox.rows.arrived if name.startswith("c")]) == 9
    assert len([d for d in outbox.rows.due if d.lane == "hung"]) == 5
    outbox.world.hanging["hung"].set()
    await asyncio.gather(*calls)
    while await outbox.dispatcher.recover():
        await settle()
    assert len(outbox.rows.arrived) == 18


async def test_a_caller_that_goes_away_does_not_break_off_what_is_under_way() -> None:
    outbox = Outbox(a_delivery("s"))
    outbox.world.hanging["pacs"] = asyncio.Event()
    call = asyncio.create_task(outbox.dispatcher.deliver("job"))
    await settle()
    call.cancel()
    await settle()
    outbox.world.hanging["pacs"].set()
    await outbox.dispatcher.drain()
    assert (outbox.world.stored, outbox.rows.arrived) == ([("pacs", b"sr of job")], ["s"])


async def test_a_delivery_ends_with_its_deadline_and_is_tried_again() -> None:
    outbox = Outbox(a_delivery("s"), deadline_s=0.01)
    outbox.world.hanging["pacs"] = asyncio.Event()
    await outbox.dispatcher.deliver("job")
    assert outbox.rows.failed == [("s", "deadline-exceeded", False)]


async def test_the_lease_of_what_is_under_way_is_renewed_and_of_nothing_else() -> None:
    outbox = Outbox(a_delivery("s"), a_delivery("x", job_id="other"))
    outbox.world.hanging["pacs"] = asyncio.Event()
    call = asyncio.create_task(outbox.dispatcher.deliver("job"))
    await settle()
    assert set(outbox.keeper.kept) == {"s"}
    outbox.world.hanging["pacs"].set()
    await call
    assert not outbox.keeper.kept


def test_one_lane_may_not_take_all_the_places() -> None:
    with pytest.raises(ValueError, match="one lane"):
        DeliveryLimits(per_lane=4, in_all=4)


async def test_what_arrived_while_the_ledger_was_away_is_not_stored_twice() -> None:
    outbox = Outbox(a_delivery("s"))
    outbox.rows.away_times = 3
    await outbox.dispatcher.deliver("job")
    assert (outbox.world.stored, outbox.rows.arrived) == ([("pacs", b"sr of job")], ["s"])


async def test_a_lease_that_ran_out_under_our_own_hands_begins_nothing_anew() -> None:
    outbox = Outbox(a_delivery("s"))
    outbox.world.hanging["pacs"] = asyncio.Event()
    call = asyncio.create_task(outbox.dispatcher.deliver("job"))
    await settle()
    outbox.rows.due.append(a_delivery("s", attempt=2))
    await outbox.dispatcher.recover()
    outbox.world.hanging["pacs"].set()
    await call
    assert outbox.world.stored == [("pacs", b"sr of job")]


@pytest.mark.parametrize(
    ("delivery", "error", "code"),
    [
        (a_delivery("p", attempt=6), KeyError("a patient's name"), UNEXPECTED),
        (a_delivery("p", attempt=6, kind="fax"), None, UNEXPECTED),
        (
            a_delivery("p", created_at=NOON - timedelta(days=400)),
            ReportRejected("no"),
            "result-store-rejected",
        ),
        (a_delivery("p"), CallbackGone("no more"), "callback-gone"),
    ],
)
async def test_a_poison_delivery_ends_as_a_dead_letter(
    delivery: ClaimedDelivery, error: Exception | None, code: str
) -> None:
    outbox = Outbox(delivery)
    if error is not None:
        outbox.world.raising["pacs"] = error
    await outbox.dispatcher.deliver("job")
    assert outbox.rows.failed == [("p", code, True)]


async def test_an_exception_that_nobody_foresaw_counts_and_does_not_stop_the_others() -> None:
    outbox = Outbox(a_delivery("p", lane="odd"), a_delivery("s"))
    outbox.world.raising["odd"] = RuntimeError("boom")
    await outbox.dispatcher.deliver("job")
    assert outbox.rows.failed == [("p", UNEXPECTED, False)]
    assert outbox.rows.arrived == ["s"]


def test_a_pacs_that_is_away_is_tried_for_a_day_with_growing_pauses() -> None:
    pauses, at, attempt = [], NOON, 1
    while True:
        decision = retry_of(a_delivery("s", attempt=attempt), SourceUnavailable("away"), at, RetryPolicy())
        if decision.at is None:
            break
        pauses.append((decision.at - at).total_seconds())
        at, attempt = decision.at, attempt + 1
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.5, 300.0)
    assert timedelta(days=1) <= at - NOON < timedelta(days=1, minutes=6)


def test_a_report_that_is_refused_for_good_is_a_dead_letter_after_a_few_tries_within_minutes() -> None:
    at, attempt = NOON, 1
    while (decision := retry_of(a_delivery("s", attempt=attempt), ReportRefused("no"), at, RetryPolicy())).at:
        at, attempt = decision.at, attempt + 1
    assert attempt == RetryPolicy().model_failed_attempts
    assert at - NOON < timedelta(minutes=5)


def test_what_nobody_foresaw_is_not_tried_for_a_day() -> None:
    assert failure_class(RuntimeError()) is FailureClass.MODEL_FAILED
    assert failure_class(TimeoutError()) is FailureClass.MODEL_FAILED


async def test_who_waits_for_a_job_is_told_when_its_last_delivery_has_ended() -> None:
    outbox = Outbox(a_delivery("s"), a_delivery("o", job_id="other"))
    outbox.watched.watch("job")
    outbox.watched.watch("other")
    outbox.jobs.states["job"] = JobState.COMPLETED  # `other` still has something to deliver
    await outbox.dispatcher.recover()
    await settle()
    assert outbox.ingresses.ended == ["job"]


async def test_a_ledger_that_is_away_is_waited_for_by_the_recovery_loop() -> None:
    outbox = Outbox(a_delivery("s"), idle_s=0.01)
    answers = iter([LedgerUnavailable("away"), None])
    claim = outbox.rows.claim_deliveries

    def flaky(*args: Any, **kwargs: Any) -> tuple[ClaimedDelivery, ...]:
        if error := next(answers, None):
            raise error
        return claim(*args, **kwargs)

    outbox.rows.claim_deliveries = flaky  # type: ignore[method-assign]
    loop = asyncio.create_task(outbox.dispatcher.recover_forever())
    async with asyncio.timeout(5):
        while not outbox.rows.arrived:
            await asyncio.sleep(0.001)
    loop.cancel()
    assert outbox.rows.arrived == ["s"]


async def test_a_notice_of_a_rollout_goes_out_under_its_own_id_and_belongs_to_no_job() -> None:
    outbox = Outbox(a_delivery("0f3a", "", "ris", kind=NOTICE, document=None, payload={"id": "chest-ct/1/3"}))
    assert await outbox.dispatcher.recover() == 1
    await outbox.dispatcher.drain()
    assert (outbox.world.messages, outbox.rows.arrived) == (["chest-ct/1/3"], ["0f3a"])
