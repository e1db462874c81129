"""What may befall the control state in a real database: routers go on and say so, a freeze arrives, and it is mended.

Two routers and a publisher as the deployments have them, on SQLite and on PostgreSQL; only Serve's push is a call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from canary.observation import ReconcilerState
from ledger import Ledger
from ledger.tables import control_state
from serve_apps.application.freeze import FreezeService
from serve_apps.application.routing_snapshot import FreezeNotice, RoutingSnapshot
from serve_apps.application.routing_state import PUBLISH_GRACE_S, SETTLE_S, Confirmation, RoutingState
from serve_apps.control.publish import LOOK_AGAIN_S, Publisher
from serve_apps.control.state import ControllerState
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.control_fakes import Clock

MODEL = "ich-triage"
CONTENT = a_snapshot(a_version("1"), canary=a_version("2"), weight_bp=5_000)
CHANGED = a_snapshot(a_version("1"), canary=a_version("2"), weight_bp=1_000)
STATE = ControllerState({MODEL: ReconcilerState(champion="1")})
UNREADABLE, OLDER = "cannot be read", "is older than"


class Row:
    """The control state's row, for somebody who damages it; `backup` is as it was."""

    def __init__(self, ledger: Ledger) -> None:
        self._engine = ledger.database.engine
        with self._engine.connect() as connection:
            self.backup: dict[str, Any] = dict(connection.execute(sa.select(control_state)).mappings().one())

    def damage(self) -> None:
        """A newer one, of which a part was written."""
        newer = control_state.c.generation + 1
        self._write(sa.update(control_state).values(generation=newer, snapshot="{"))

    def lose(self) -> None:
        self._write(sa.delete(control_state))

    def put_back(self) -> None:
        self.lose()
        self._write(sa.insert(control_state).values(**self.backup))

    def _write(self, statement: sa.Executable) -> None:
        with self._engine.begin() as connection:
            connection.execute(statement)


class Site:
    """One ledger, two routers, one publisher that leads, and the freeze of an Ingress. `push` may be cut."""

    def __init__(self, url: str) -> None:
        self.ledger = Ledger.open(url)
        self.clock = Clock()
        self.routers = [RoutingState(self.ledger.control, clock=self.clock) for _ in range(2)]
        self.publisher = Publisher(self.ledger.control, self, "test", lambda moves: None, self.clock)
        self.threads = ThreadPoolExecutor(1)
        self.service = FreezeService(self.ledger.routing, self, self.threads)
        self.hears_pushes = True

    async def publish(self, snapshot: RoutingSnapshot) -> tuple[Confirmation, ...]:
        held = [await router.take(snapshot) for router in self.routers]
        return (Confirmation("JobWorker", 2, 2, max(held)),)

    async def freeze(self, notice: FreezeNotice) -> tuple[Confirmation, ...]:
        if not self.hears_pushes:
            return (Confirmation("JobWorker", 0, 2),)
        for router in self.routers:
            router.take_freeze(notice)
        return (Confirmation("JobWorker", 2, 2),)

    async def offer(self, content: RoutingSnapshot) -> None:
        self.publisher.offer(content, STATE)
        await self.publisher.flush()

    async def pass_time(self, seconds: float) -> None:
        """The routers look at the ledger before and after."""
        for _ in range(2):
            for router in self.routers:
                await router.follow()
            self.clock.now += seconds
        for router in self.routers:
            await router.follow()

    @property
    def tables(self) -> set[tuple[bool, int | None]]:
        """Whether each router is frozen, and its canary's weight."""
        tables = [router.snapshot.table(MODEL) for router in self.routers]
        return {(table.frozen, table.canary and table.canary.weight_bp) for table in tables}

    @property
    def alarms(self) -> str:
        return "; ".join(router.alarm or "" for router in self.routers)

    def close(self) -> None:
        for part in (*self.routers, self.publisher, self.ledger):
            part.close()
        self.threads.shutdown()


@pytest.fixture
async def site(either_url: str) -> AsyncIterator[Site]:
    made = Site(either_url)
    await made.publisher.lead()
    yield made
    made.close()


@pytest.mark.parametrize(("what", "alarm"), [("damage", UNREADABLE), ("lose", OLDER), ("put_back", OLDER)])
async def test_routers_go_on_say_so_and_obey_a_freeze_that_only_the_ledger_tells(
    site: Site, what: str, alarm: str
) -> None:
    """No controller mends anything here, and no push reaches a router."""
    await site.offer(CHANGED)
    row = Row(site.ledger)
    await site.offer(CONTENT)
    await site.pass_time(0)
    assert site.alarms == "; "
    getattr(row, what)()
    await site.pass_time(PUBLISH_GRACE_S + SETTLE_S)
    assert site.alarms.count(alarm) == 2
    assert site.tables == {(False, 5_000)}
    site.hears_pushes = False
    outcome = await site.service.freeze("a drill", "ada")
    assert (outcome.recorded, outcome.unconfirmed) == (True, 2)
    await site.pass_time(0)
    assert site.tables == {(True, 5_000)}
    await site.service.unfreeze("ada")
    await site.pass_time(SETTLE_S)
    assert site.tables == {(False, 5_000)}


@pytest.mark.parametrize("what", ["damage", "lose", "put_back"])
async def test_the_controller_mends_it_and_a_replica_that_starts_then_is_up_to_date(
    site: Site, what: str
) -> None:
    await site.offer(CHANGED)
    row = Row(site.ledger)
    await site.offer(CONTENT)
    getattr(row, what)()
    for _ in range(3):
        site.clock.now += LOOK_AGAIN_S
        await site.publisher.flush()
    assert site.publisher.is_leader
    assert site.publisher.alarms, "people hear of it"
    await site.pass_time(PUBLISH_GRACE_S)
    assert site.alarms == "; "
    late = RoutingState(site.ledger.control, clock=site.clock)
    await late.start()
    assert late.snapshot.version == site.routers[0].snapshot.version
    canary = late.snapshot.table(MODEL).canary
    assert canary is not None
    assert canary.weight_bp == 5_000, "not the table of the backup"
    late.close()
