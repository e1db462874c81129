"""Every deployment that is told of snapshots and freezes hears them by the same methods, over a real ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ledger import Ledger
from serve_apps.adapters.broadcast import DEPLOYMENTS
from serve_apps.application.routing_snapshot import FreezeNotice
from serve_apps.application.routing_state import RoutingState
from serve_apps.deployments.ingress import Ingress
from serve_apps.deployments.job_worker import JobWorker
from serve_apps.deployments.outbox import Outbox
from serve_apps.deployments.routing_replica import RoutingReplica
from serve_apps.deployments.shadow_worker import ShadowWorker
from serve_apps.deployments.study_reader import StudyReader
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.inline import Here

ALL: dict[str, Any] = {
    "Ingress": Ingress,
    "JobWorker": JobWorker,
    "Outbox": Outbox,
    "ShadowWorker": ShadowWorker,
    "StudyReader": StudyReader,
}


def test_the_broadcast_reaches_exactly_those_that_hold_a_snapshot() -> None:
    holding = {name for name, made in ALL.items() if issubclass(made.func_or_class, RoutingReplica)}
    assert holding == set(DEPLOYMENTS)


class Replica(RoutingReplica):
    def __init__(self, ledger: Ledger) -> None:
        self._routing = RoutingState(ledger.control, executor=Here())
        self._loops = [asyncio.create_task(asyncio.Event().wait())]  # type: ignore[list-item]

    async def end_a_loop(self) -> None:
        self._loops[0].cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)


@pytest.fixture
async def replica(tmp_path: Path) -> AsyncIterator[Replica]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    made = Replica(ledger)
    yield made
    await made.end_a_loop()
    ledger.close()


async def test_it_says_which_snapshot_and_which_freeze_it_holds(replica: Replica) -> None:
    snapshot = a_snapshot(a_version())
    assert await replica.push_snapshot(snapshot) == snapshot.version
    notice = FreezeNotice(True)
    assert await replica.push_freeze(notice) == notice
    assert "has not recorded" in await replica.routing_alarm(None)


async def test_it_is_unhealthy_when_a_loop_has_ended(replica: Replica) -> None:
    await replica.check_health()
    await replica.end_a_loop()
    with pytest.raises(RuntimeError, match="a loop of Replica has ended"):
        await replica.check_health()
