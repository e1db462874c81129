"""A replica keeps its last snapshot, takes only newer ones, obeys a freeze at once, and says what does not agree."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from core.codec import from_json, to_json
from core.errors import LedgerUnavailable, ModelUnavailable, NotReady, UnknownModel
from serve_apps.application.messages import ServedVersion
from serve_apps.application.routing_snapshot import (
    FreezeNotice,
    RoutingSnapshot,
    SnapshotVersion,
    eligible_models,
)
from serve_apps.application.routing_state import PUBLISH_GRACE_S, SETTLE_S, SILENCE, RoutingState
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.inline import Here

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@dataclass
class Head:
    epoch: int = 0
    generation: int = -1
    routing_revision: int = 0
    frozen: bool = False
    renewed_at: datetime | None = NOON
    at: datetime = NOON


@dataclass
class Record:
    snapshot_json: str


@dataclass
class FakeControl:
    """The ledger's control state; `error` is raised by every read."""

    at: Head = field(default_factory=Head)
    record: Record | None = None
    error: Exception | None = None
    loads: int = 0
    heads: int = 0
    written: int | None = 0

    def mark(self) -> int | None:
        return self.written

    def head(self) -> Head:
        self.heads += 1
        if self.error is not None:
            raise self.error
        return self.at

    def load(self) -> Record | None:
        self.loads += 1
        return self.record

    def keep(self, snapshot: RoutingSnapshot) -> None:
        self.at = replace(self.at, epoch=snapshot.epoch, generation=snapshot.generation)
        self.record = Record(to_json(RoutingSnapshot, snapshot))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def control() -> FakeControl:
    return FakeControl()


@pytest.fixture
def state(control: FakeControl, clock: Clock) -> RoutingState:
    return RoutingState(control, clock=clock, executor=Here())


def numbered(epoch: int, generation: int, **changes: Any) -> RoutingSnapshot:
    snapshot = a_snapshot(a_version(), canary=a_version("2"), weight_bp=5_000)
    return replace(snapshot, epoch=epoch, generation=generation, **changes)


def is_frozen(state: RoutingState) -> bool:
    return state.snapshot.table("ich-triage").frozen


def test_a_snapshot_survives_the_ledger_whole() -> None:
    snapshot = numbered(3, 7)
    assert from_json(RoutingSnapshot, to_json(RoutingSnapshot, snapshot)) == snapshot


@pytest.mark.parametrize("model", ["ich-triage", None])
async def test_before_the_first_snapshot_nothing_is_unknown(state: RoutingState, model: str | None) -> None:
    await state.start()
    with pytest.raises(NotReady):
        eligible_models(state.snapshot, model)
    with pytest.raises(NotReady):
        state.snapshot.table("ich-triage")


async def test_after_the_first_an_unknown_model_is_unknown(state: RoutingState) -> None:
    await state.take(RoutingSnapshot(1, 1, expected=frozenset({"later"})))
    with pytest.raises(UnknownModel):
        state.snapshot.table("nobody")
    with pytest.raises(ModelUnavailable):
        state.snapshot.table("later")


async def test_a_replica_starts_with_what_the_ledger_has(state: RoutingState, control: FakeControl) -> None:
    control.keep(numbered(3, 7))
    await state.start()
    assert state.snapshot == numbered(3, 7)


async def test_a_replica_takes_only_what_is_newer_and_the_epoch_comes_first(state: RoutingState) -> None:
    assert await state.take(numbered(2, 9)) == SnapshotVersion(2, 9)
    assert await state.take(numbered(2, 8)) == SnapshotVersion(2, 9)
    assert await state.take(numbered(1, 99)) == SnapshotVersion(2, 9)
    assert await state.take(numbered(3, 1)) == SnapshotVersion(3, 1)


async def test_handles_are_prepared_before_a_snapshot_comes_into_force(
    control: FakeControl, clock: Clock
) -> None:
    seen: list[tuple[list[str], int]] = []

    async def prepare(endpoints: Mapping[str, ServedVersion]) -> None:
        seen.append((sorted(endpoints), state.snapshot.generation))

    state = RoutingState(control, prepare, clock, Here())
    await state.take(numbered(1, 1))
    assert seen == [(["mv-ich-triage-1", "mv-ich-triage-2"], -1)]


async def test_a_freeze_is_obeyed_before_anything_is_written(state: RoutingState) -> None:
    await state.take(numbered(1, 1))
    assert state.take_freeze(FreezeNotice(True)) == FreezeNotice(True)
    assert is_frozen(state)


async def test_a_freeze_that_is_not_recorded_stays_until_somebody_ends_it(
    state: RoutingState, control: FakeControl, clock: Clock
) -> None:
    """Say the disk is full: the ledger goes on saying that nothing is frozen, and a weight is changed."""
    await state.take(numbered(1, 1))
    state.take_freeze(FreezeNotice(True))
    control.keep(numbered(1, 1))
    clock.now += 10 * SETTLE_S
    control.at.routing_revision = 5
    await state.follow()
    await state.take(numbered(1, 2, freeze=FreezeNotice(False, 6)))
    assert is_frozen(state)
    assert "not recorded" in (state.alarm or "")
    state.take_freeze(FreezeNotice(False, 6))
    assert not is_frozen(state)
    assert state.alarm is None


async def test_a_freeze_arrives_by_the_ledger_when_nobody_pushes(
    state: RoutingState, control: FakeControl
) -> None:
    """The controller is dead, and so is the Ingress that was asked."""
    control.keep(numbered(1, 1))
    await state.start()
    control.at = replace(control.at, routing_revision=4, frozen=True)
    await state.follow()
    assert is_frozen(state)
    control.at = replace(control.at, routing_revision=5, frozen=False)
    await state.follow()
    assert not is_frozen(state)


async def test_a_look_that_was_overtaken_by_a_push_does_not_end_the_freeze(
    state: RoutingState, control: FakeControl, clock: Clock
) -> None:
    control.keep(numbered(1, 1))
    await state.start()
    state.take_freeze(FreezeNotice(True, 8))
    control.at.routing_revision = 7
    await state.follow()
    assert is_frozen(state)


async def test_a_ledger_restored_from_a_backup_is_still_heard(
    state: RoutingState, control: FakeControl, clock: Clock
) -> None:
    await state.take(numbered(9, 1, freeze=FreezeNotice(False, 500)))
    control.keep(numbered(4, 2))
    clock.now += 2 * SETTLE_S
    control.at = replace(control.at, routing_revision=20, frozen=True)
    await state.follow()
    assert is_frozen(state), "a freeze still arrives"
    assert state.snapshot.version == SnapshotVersion(9, 1), "and the replica keeps what it has"
    clock.now += PUBLISH_GRACE_S + 1
    await state.follow()
    assert "older than this replica's" in (state.alarm or "")
    await state.take(numbered(10, 1))
    control.keep(numbered(10, 1))
    await state.follow()
    assert state.alarm is None


async def test_a_ledger_that_was_lost_or_restored_ends_no_freeze(
    state: RoutingState, control: FakeControl, clock: Clock
) -> None:
    """A person froze routing, and only a person may end that: the ledger of before knows nothing of either."""
    await state.take(numbered(9, 1))
    state.take_freeze(FreezeNotice(True, 500))
    control.keep(numbered(4, 2))
    control.at = replace(control.at, routing_revision=20, frozen=False)
    clock.now += 2 * SETTLE_S
    for _ in range(2):
        await state.follow()
    await state.take(numbered(10, 1, freeze=FreezeNotice(False, 20)))
    assert is_frozen(state)
    assert state.take_freeze(FreezeNotice(False, 21)) == FreezeNotice(False, 21)
    assert not is_frozen(state)


async def test_a_snapshot_that_was_pushed_may_be_written_a_little_later(
    state: RoutingState, control: FakeControl, clock: Clock
) -> None:
    control.keep(numbered(1, 1))
    await state.take(numbered(1, 2))
    await state.follow()
    assert state.alarm is None


@pytest.mark.parametrize("error", [LedgerUnavailable("the database does not answer"), RuntimeError("x")])
async def test_a_ledger_that_is_away_changes_nothing_and_is_alarmed(
    state: RoutingState, control: FakeControl, error: Exception
) -> None:
    control.keep(numbered(1, 1))
    await state.start()
    control.error = error
    await state.follow()
    assert state.snapshot == numbered(1, 1)
    assert "cannot be read" in (state.alarm or "")
    control.error = None
    await state.follow()
    assert state.alarm is None


@pytest.mark.parametrize("garbage", ["", "{", "[]", '{"generation": "many"}'])
async def test_garbage_in_the_ledger_is_alarmed_and_a_freeze_still_arrives(
    state: RoutingState, control: FakeControl, garbage: str
) -> None:
    await state.take(numbered(1, 1))
    control.at = Head(2, 1, routing_revision=3, frozen=True)
    control.record = Record(garbage)
    await state.follow()
    assert state.snapshot.version == SnapshotVersion(1, 1)
    assert is_frozen(state)
    assert "cannot be read" in (state.alarm or "")


async def test_an_alarm_that_lasts_is_one_alarm(
    state: RoutingState, control: FakeControl, caplog: pytest.LogCaptureFixture
) -> None:
    """It is asked while the ledger is read again, and neither flickers nor fills the log."""
    control.at, control.record = Head(2, 1), Record("{")
    await state.follow()
    seen: list[str | None] = []

    def load() -> Record:
        seen.append(state.alarm)
        return Record("{")

    control.load = load  # type: ignore[method-assign]
    for _ in range(3):
        await state.follow()
    assert seen == [state.alarm] * 3
    assert state.alarm is not None
    assert [r.message for r in caplog.records].count("routing.disagreement") == 1


async def test_nothing_is_loaded_while_the_head_stays_the_same(
    state: RoutingState, control: FakeControl
) -> None:
    control.keep(numbered(1, 1))
    for _ in range(5):
        await state.follow()
    assert control.loads == 1


async def test_a_controller_that_is_silent_is_alarmed(state: RoutingState, control: FakeControl) -> None:
    control.keep(numbered(1, 1))
    await state.start()
    assert state.alarm is None
    control.at.at = NOON + 2 * SILENCE
    await state.follow()
    assert "has not been heard" in (state.alarm or "")
    control.at.renewed_at = control.at.at
    await state.follow()
    assert state.alarm is None


async def test_after_a_restart_of_all_a_champion_without_an_application_is_not_ready(
    control: FakeControl, clock: Clock
) -> None:
    """The ledger's snapshot is of before; the controller has not run the applications again yet."""

    async def prepare(endpoints: Mapping[str, ServedVersion]) -> list[str]:
        return [app for app in endpoints if control.at.epoch == 1]

    state = RoutingState(control, prepare, clock, Here())
    control.keep(numbered(1, 1))
    await state.start()
    assert state.snapshot.not_ready == ("ich-triage",)
    assert state.snapshot.table("ich-triage").champion.version == "1", "who reads is known"
    control.at.epoch = 2
    await state.take(numbered(2, 1))
    assert state.snapshot.not_ready == ()


async def test_a_ledger_in_which_nothing_was_published_is_not_read_again_and_again(
    state: RoutingState, control: FakeControl
) -> None:
    control.at = Head(0, 0)
    for _ in range(3):
        await state.follow()
    assert control.loads == 0


class Watch:
    """Follows a ledger for some looks, without waiting; `heads` says at which of them it was read."""

    def __init__(self, control: FakeControl, clock: Clock) -> None:
        self.control, self.clock = control, clock
        self.writes_at: set[int] = set()
        self.heads: list[int] = []
        self.looks = 0

    async def follow(self, looks: int) -> None:
        state = RoutingState(self.control, clock=self.clock, executor=Here(), pause=self.pause)
        task = asyncio.create_task(state.follow_forever())
        self.end = looks, task
        with suppress(asyncio.CancelledError):
            await task

    def pause(self, seconds: float) -> bool:
        if self.control.heads > len(self.heads):
            self.heads.append(self.looks)
        self.looks += 1
        self.clock.now += seconds
        if self.looks in self.writes_at and self.control.written is not None:
            self.control.written += 1
        looks, task = self.end
        if self.looks >= looks:
            task.cancel()
        return self.looks >= looks


async def test_a_ledger_that_nobody_writes_to_is_looked_at_five_times_a_second_and_read_once(
    control: FakeControl, clock: Clock
) -> None:
    watch = Watch(control, clock)
    await watch.follow(looks=12)
    assert watch.heads == [0, 5, 10]


async def test_what_is_written_is_read_at_the_next_look(control: FakeControl, clock: Clock) -> None:
    watch = Watch(control, clock)
    watch.writes_at = {2, 3}
    await watch.follow(looks=8)
    assert watch.heads == [0, 2, 3]


async def test_a_ledger_that_tells_nothing_of_writes_is_read_at_each_look(
    control: FakeControl, clock: Clock
) -> None:
    control.written = None
    watch = Watch(control, clock)
    await watch.follow(looks=4)
    assert watch.heads == [0, 1, 2, 3]


async def test_a_ledger_that_breaks_ends_no_following(control: FakeControl, clock: Clock) -> None:
    control.mark = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    watch = Watch(control, clock)
    await watch.follow(looks=3)
    assert watch.looks == 3
