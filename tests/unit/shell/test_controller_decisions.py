"""What people decide about traffic: applied at once, ended in time, and never overwritten by the control loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from canary.routing_table import Rule
from registry.cache import CachedModel
from tests.unit.shell.control_fakes import MODEL
from tests.unit.shell.controller_site import ControllerSite, answering

APP_1, APP_2 = "mv-ich-triage-1", "mv-ich-triage-2"


@pytest.fixture
def site() -> ControllerSite:
    return ControllerSite()


async def test_a_decision_waits_for_no_tick_and_no_download(site: ControllerSite) -> None:
    await site.settled_canary()
    site.routing.decide(version="2", weight_bp=0, salts={"2": "s"})
    snapshot = await site.reconciler.decided()
    canary = snapshot.table(MODEL).canary
    assert canary is not None
    assert canary.weight_bp == 0


async def test_fifty_downloads_that_hang_hold_up_no_decision_and_no_other_model(site: ControllerSite) -> None:
    await site.settled_canary()
    released = threading.Event()
    fetch = site.mlflow.fetch

    def hang(name: str, version: str) -> CachedModel:
        if version.startswith("9"):
            released.wait()
        return fetch(name, version)

    site.mlflow.fetch = hang  # type: ignore[method-assign]
    site.kill(downloads=ThreadPoolExecutor(2))
    for number in range(50):
        site.mlflow.register(f"9{number}", f"shadow-{number}")
    try:
        async with asyncio.timeout(10.0):
            held = await site.tick(2)
            assert answering(held) == {"champion": "1", "canary": "2"}
            site.routing.decide(version="2", weight_bp=0, salts={"2": "s"})
            canary = (await site.reconciler.decided()).table(MODEL).canary
        assert canary is not None
        assert canary.weight_bp == 0
    finally:
        released.set()


async def test_a_freeze_is_in_the_next_snapshot_with_its_revision(site: ControllerSite) -> None:
    await site.settled_canary()
    site.control.frozen, site.control.revision = True, 7
    snapshot = await site.reconciler.decided()
    assert snapshot.table(MODEL).frozen
    assert (snapshot.freeze.frozen, snapshot.freeze.revision) == (True, 7)


async def test_half_promoted_and_moved_back_everybody_is_on_the_old_version(site: ControllerSite) -> None:
    await site.settled_canary(5_000)
    site.mlflow.alias("champion", "2")
    promoted = await site.tick(2)
    assert answering(promoted) == {"champion": "2"}
    assert site.routing.ended == [(MODEL, "2")]
    site.mlflow.alias("champion", "1")
    assert answering(await site.tick(2)) == {"champion": "1"}


async def test_a_controller_that_dies_before_a_weight_has_ended_lets_it_not_resume(
    site: ControllerSite,
) -> None:
    """Promoted, killed before the ledger had the weight's end, and moved back before the next one looked."""
    await site.settled_canary(5_000)
    site.mlflow.alias("champion", "2")
    site.routing.meanwhile = lambda: site.routing.decide(version="2", weight_bp=5_000, salts={"2": "s"})
    assert answering(await site.tick()) == {"champion": "2"}
    site.kill()
    site.mlflow.alias("champion", "1")
    assert answering(await site.tick()) == {"champion": "2"}, (
        "version 1 is not verified yet, and no table is lost"
    )
    for _ in range(3):
        assert answering(await site.tick()) == {"champion": "1"}
    site.routing.meanwhile = lambda: None
    await site.tick()
    assert site.routing.ended == [(MODEL, "2")]
    site.routing.decide(version="2", weight_bp=5_000, salts={"2": "another"})
    assert answering(await site.tick(2)) == {"champion": "1", "canary": "2"}


async def test_the_end_of_a_weight_never_overwrites_a_newer_decision(site: ControllerSite) -> None:
    await site.settled_canary(5_000)
    site.mlflow.register("3")
    site.routing.meanwhile = lambda: site.routing.decide(version="3", weight_bp=1_000, salts={"3": "t"})
    site.mlflow.alias("challenger", "3")
    await site.tick()
    site.routing.meanwhile = lambda: None
    assert site.routing.ended == []
    assert site.routing.decided[MODEL].version == "3"
    assert answering(await site.settle()) == {"champion": "1", "canary": "3"}


async def test_what_was_given_in_advance_is_told_to_have_arrived(site: ControllerSite) -> None:
    until = site.now().replace(year=site.now().year + 1)
    site.mlflow.register("1", "champion")
    site.mlflow.register("2")
    rules = (Rule("pilot", "canary", sites=("north",)),)
    ahead = {"weight": until, "rules": until}
    site.routing.decide(version="2", weight_bp=500, salts={"2": "s"}, rules=rules, in_advance=ahead)
    held = await site.settle()
    assert set(held.conditions) == {f"{MODEL}/weight", f"{MODEL}/rule pilot"}
    assert held.alarms == {}, "nothing is wrong"
    assert site.routing.arrivals == []
    site.mlflow.alias("challenger", "2")
    held = await site.settle()
    assert answering(held) == {"champion": "1", "canary": "2"}
    assert site.routing.arrivals[-1] == ("rules", "weight")


async def test_rules_that_were_given_in_advance_expire(site: ControllerSite) -> None:
    site.mlflow.register("1", "champion")
    rules = (Rule("pilot", "champion", sites=("north",)),)
    site.routing.decide(rules=rules, in_advance={"rules": site.now()})
    assert (await site.settle()).table(MODEL).rules == ()
