"""Who leads, what is pushed and written; a controller behind its routers, and one that was followed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from canary.observation import ReconcilerState
from core.errors import CorruptControlState, LedgerUnavailable
from serve_apps.application.routing_snapshot import RoutingSnapshot, SnapshotVersion
from serve_apps.application.routing_state import Confirmation
from serve_apps.control.publish import BEHIND_GRACE_S, LEADER_SILENCE, LOOK_AGAIN_S, RENEW_S, Move, Publisher
from serve_apps.control.state import ControllerState
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.control_fakes import Clock, FakeControl, FakeRouters, Record
from tests.unit.shell.inline import Here

ONE = a_snapshot(a_version("1"))
TWO = a_snapshot(a_version("2"))
STATE = ControllerState({"ich-triage": ReconcilerState(champion="1")})
MOVE = Move("ich-triage", "champion", "1", "2", 1)


class Site:
    """The ledger's control state and the routers, which outlive every controller."""

    def __init__(self) -> None:
        self.control, self.routers, self.clock = FakeControl(), FakeRouters(), Clock()
        self.moves: list[Move] = []

    def note_moves(self, moves: Sequence[Move]) -> None:
        self.moves += moves

    def publisher(self) -> Publisher:
        return Publisher(self.control, self.routers, "test", self.note_moves, self.clock, Here())

    async def leader(self) -> Publisher:
        publisher = self.publisher()
        await publisher.lead()
        return publisher


@pytest.fixture
def site() -> Site:
    return Site()


async def test_a_snapshot_is_pushed_and_written_and_the_same_one_is_neither(site: Site) -> None:
    publisher = await site.leader()
    for _ in range(3):
        publisher.offer(ONE, STATE)
        await publisher.flush()
    assert [s.version for s in site.routers.taken] == site.control.written == [SnapshotVersion(1, 1)]
    publisher.offer(TWO, STATE)
    await publisher.flush()
    assert site.control.written[-1] == SnapshotVersion(1, 2)


async def test_the_next_controller_starts_with_what_the_last_one_left(site: Site) -> None:
    first = await site.leader()
    first.offer(ONE, STATE)
    await first.flush()
    second = site.publisher()
    assert await second.lead() == STATE
    assert second.snapshot == site.routers.held
    await second.flush()
    assert len(site.routers.taken) == 1, "it publishes nothing until it is offered something"
    second.offer(ONE, STATE)
    await second.flush()
    assert site.routers.held.version == SnapshotVersion(2, 2)


async def test_a_former_leader_stands_down_when_its_write_is_refused(site: Site) -> None:
    former = await site.leader()
    newer = await site.leader()
    newer.offer(TWO, STATE)
    await newer.flush()
    former.offer(ONE, STATE)
    await former.flush()
    assert (former.is_leader, newer.is_leader) == (False, True)
    assert site.routers.held.tables == TWO.tables
    former.offer(TWO, STATE)
    await former.flush()
    assert former.snapshot.tables == ONE.tables, "what it is offered goes nowhere"


async def test_a_former_leader_stands_down_when_it_renews(site: Site) -> None:
    former = await site.leader()
    await former.flush()
    await site.leader()
    site.clock.now += RENEW_S
    await former.flush()
    assert not former.is_leader


async def test_a_controller_that_stood_down_for_one_that_died_may_lead_again(site: Site) -> None:
    """As when a new version's controller takes the lead and then never gets healthy."""
    former = await site.leader()
    await former.flush()
    await site.leader()
    site.clock.now += RENEW_S
    await former.flush()
    assert not former.is_leader
    site.control.silent_for = timedelta(seconds=1)
    assert not await former.should_lead()
    site.control.silent_for = 2 * LEADER_SILENCE
    assert not await former.should_lead(), "it has just asked"
    site.clock.now += RENEW_S
    assert await former.should_lead()


async def test_a_ledger_restored_from_a_backup_gets_an_epoch_above_the_routers(site: Site) -> None:
    site.routers.held = replace(TWO, epoch=9, generation=57)
    site.control.leader_epoch = 3
    publisher = await site.leader()
    publisher.offer(ONE, STATE)
    for _ in range(2):
        await publisher.flush()
    assert publisher.epoch == 10
    assert site.routers.held.tables == ONE.tables
    assert site.control.written[-1].epoch == 10
    assert "restored from a backup" in publisher.alarms["epoch"]


async def test_a_running_controller_whose_ledger_was_restored_leads_on_and_writes_again(site: Site) -> None:
    site.control.leader_epoch = 8
    publisher = await site.leader()
    publisher.offer(ONE, STATE)
    await publisher.flush()
    site.control.leader_epoch, site.control.record = 2, None
    site.clock.now += RENEW_S
    for _ in range(2):
        await publisher.flush()
    assert (publisher.is_leader, publisher.epoch) == (True, 10)
    assert site.routers.held.version.epoch == site.control.written[-1].epoch == 10
    assert site.control.record is not None


@pytest.mark.parametrize("damage", ["older", "lost", "corrupt"])
async def test_a_record_that_is_not_what_was_written_is_written_again_and_alarmed(
    site: Site, damage: str
) -> None:
    """As from a backup of the same epoch, which takes the lead from nobody: a replica that starts would obey it."""
    publisher = await site.leader()
    for content in (ONE, TWO):
        publisher.offer(content, STATE)
        await publisher.flush()
    assert site.control.record is not None
    if damage == "corrupt":
        site.control.load_error = CorruptControlState("a byte was changed")
    else:
        site.control.record = None if damage == "lost" else replace(site.control.record, generation=1)
    site.clock.now += LOOK_AGAIN_S
    await publisher.flush()
    site.control.load_error = None
    await publisher.flush()
    assert site.control.written[-1] == site.control.written[-2] == SnapshotVersion(1, 2)
    assert (site.control.record.epoch, site.control.record.generation) == (1, 2)
    assert "was not what was written" in publisher.alarms["control state"]


async def test_a_record_that_is_intact_is_written_once(site: Site) -> None:
    publisher = await site.leader()
    publisher.offer(ONE, STATE)
    await publisher.flush()
    site.clock.now += LOOK_AGAIN_S
    for _ in range(2):
        await publisher.flush()
    assert (site.control.written, publisher.alarms) == ([SnapshotVersion(1, 1)], {})


@pytest.mark.parametrize(
    ("error", "record"),
    [
        (CorruptControlState("a byte was changed"), None),
        (None, Record("{", "{}")),
        (None, Record("{}", '{"models": 1}')),
    ],
)
async def test_unreadable_control_state_is_alarmed_and_nothing_is_made_of_it(
    site: Site, error: Exception | None, record: Record | None
) -> None:
    site.control.load_error, site.control.record = error, record
    publisher = site.publisher()
    assert await publisher.lead() is None
    assert publisher.is_leader
    assert "unreadable" in publisher.alarms["control state"]


async def test_a_full_disk_holds_up_no_push_and_is_written_later(site: Site) -> None:
    publisher = await site.leader()
    site.control.error = LedgerUnavailable("database or disk is full")
    publisher.offer(ONE, STATE, [MOVE])
    await publisher.flush()
    assert site.routers.held.tables == ONE.tables
    assert "not recorded" in publisher.alarms["ledger"]
    publisher.offer(TWO, STATE, [replace(MOVE, old="2", new="3")])
    await publisher.flush()
    site.control.error = None
    await publisher.flush()
    assert site.control.written == [SnapshotVersion(1, 2)]
    assert publisher.alarms == {}
    assert [move.new for move in site.moves[-2:]] == ["2", "3"], "no move is lost"


async def test_while_nothing_can_be_written_a_replica_that_starts_is_pushed_to(site: Site) -> None:
    publisher = await site.leader()
    site.control.error = LedgerUnavailable("database or disk is full")
    publisher.offer(ONE, STATE)
    await publisher.flush()
    site.routers.held = RoutingSnapshot()
    await publisher.flush()
    assert site.routers.held.tables == ONE.tables


async def test_moves_are_written_before_the_state_that_has_forgotten_them(site: Site) -> None:
    written_before: list[int] = []

    def note(moves: Sequence[Move]) -> None:
        written_before.append(len(site.control.written))

    publisher = Publisher(site.control, site.routers, "test", note, site.clock, Here())
    await publisher.lead()
    publisher.offer(ONE, STATE, [MOVE])
    await publisher.flush()
    assert (written_before, len(site.control.written)) == ([0], 1)


async def test_a_state_that_differs_is_written_without_a_push(site: Site) -> None:
    publisher = await site.leader()
    publisher.offer(ONE, STATE)
    await publisher.flush()
    publisher.offer(ONE, ControllerState())
    await publisher.flush()
    assert (len(site.control.written), len(site.routers.taken)) == (2, 1)


async def test_a_replica_that_does_not_follow_is_pushed_again_and_alarmed_after_a_while(site: Site) -> None:
    publisher = await site.leader()
    site.routers.deaf = 1
    publisher.offer(ONE, STATE)
    await publisher.flush()
    assert publisher.alarms == {}
    site.clock.now += BEHIND_GRACE_S + 1
    await publisher.flush()
    assert publisher.alarms["routers"] == "replicas of JobWorker have not taken the newest snapshot"
    site.routers.deaf = 0
    await publisher.flush()
    assert publisher.alarms == {}


class SlowRouters(FakeRouters):
    """One replica hangs: no push is confirmed before the test lets it be."""

    def __init__(self) -> None:
        super().__init__()
        self.release = asyncio.Event()

    async def publish(self, snapshot: RoutingSnapshot) -> tuple[Confirmation, ...]:
        confirmations = await super().publish(snapshot)
        await self.release.wait()
        return confirmations


async def test_a_replica_that_hangs_holds_up_no_later_decision(site: Site) -> None:
    routers = SlowRouters()
    publisher = Publisher(site.control, routers, "test", site.note_moves, site.clock, Here())
    await publisher.lead()
    running = asyncio.create_task(publisher.run_forever())
    for content in (ONE, TWO):
        publisher.offer(content, STATE)
        for _ in range(5):
            await asyncio.sleep(0)
    assert [s.tables for s in routers.taken] == [ONE.tables, TWO.tables]
    running.cancel()
    publisher.close()
