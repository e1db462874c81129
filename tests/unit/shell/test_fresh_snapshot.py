"""Who sets an alias and at once decides about it is not told that it does not exist."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from core.errors import InvalidField, ModelUnavailable
from serve_apps.application.fresh_snapshot import SnapshotChecks
from serve_apps.application.routing_snapshot import RoutingSnapshot
from tests.unit.shell.builders import a_snapshot, a_version

BEFORE, AFTER = a_snapshot(a_version("1")), a_snapshot(a_version("1"), canary=a_version("2"))


class Router:
    """Takes the newer snapshot a moment after the controller has looked again."""

    def __init__(self, *, hangs: bool = False, comes: bool = True) -> None:
        self.snapshot = BEFORE
        self.looks = 0
        self._hangs = hangs
        self._comes = comes

    async def look_again(self) -> None:
        self.looks += 1
        if self._hangs:
            await asyncio.Event().wait()
        if self._comes:
            asyncio.get_running_loop().call_soon(self._take)

    def _take(self) -> None:
        self.snapshot = AFTER

    def checks(self) -> SnapshotChecks:
        return SnapshotChecks(lambda: self.snapshot, self.look_again, patience_s=0.02, pause_s=0.0)


def has_canary(snapshot: RoutingSnapshot) -> None:
    if "canary" not in snapshot.table("ich-triage").answering:
        raise InvalidField("no canary", "/version")


async def test_what_the_next_snapshot_has_is_waited_for() -> None:
    router = Router()
    assert await router.checks().expiry(has_canary, None) is None
    assert router.looks == 1


async def test_what_is_there_asks_nobody() -> None:
    router = Router()
    router.snapshot = AFTER
    await router.checks().require(has_canary)
    assert router.looks == 0


@pytest.mark.parametrize("router", [Router(comes=False), Router(hangs=True)], ids=["never comes", "hangs"])
async def test_what_does_not_come_is_refused_in_time(router: Router) -> None:
    with pytest.raises(InvalidField):
        await router.checks().require(has_canary)


async def test_what_is_asked_for_in_advance_waits_for_nothing() -> None:
    router = Router()
    assert await router.checks().expiry(has_canary, timedelta(hours=1)) is not None
    assert router.looks == 0


async def test_another_error_is_not_waited_for() -> None:
    router = Router()
    router.snapshot = RoutingSnapshot(1, 1, expected=frozenset({"ich-triage"}))
    with pytest.raises(ModelUnavailable):
        await router.checks().require(has_canary)
    assert router.looks == 0
