"""What is decided about something that does not exist yet: by name only, shown as such, and gone when it expires."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from ledger import ModelRouting
from serve_apps.control.desired import arrivals
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.site import Site

MODEL = "ich-triage"
ROUTE = f"/v1/routes/{MODEL}"
CHANGES: list[tuple[str, dict[str, Any], str]] = [
    ("weight", {"version": "9", "weight_bp": 100}, "weight"),
    ("shadow", {"alias": "shadow-next", "percent": 5}, "shadow/shadow-next"),
    ("pin", {"patient_id": "p", "variant": "arm-b"}, "pin/"),
    ("rules", {"rules": [{"name": "a", "variant": "canary", "sites": ["n"]}]}, "rules"),
]


async def in_advance(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await http.get("/v1/routes")).json()["in_advance"]
    return rows


@pytest.mark.parametrize(("path", "change", "name"), CHANGES, ids=lambda part: str(part)[:12])
async def test_it_is_stored_and_shown_with_its_expiry(
    http: httpx.AsyncClient, path: str, change: dict[str, Any], name: str
) -> None:
    assert (await http.put(f"{ROUTE}/{path}", json=change)).status_code == 422
    answer = await http.put(f"{ROUTE}/{path}", json=change | {"in_advance": True, "expires_s": 3600})
    assert answer.status_code == 200, answer.text
    (row,) = await in_advance(http)
    assert (row["model"], row["what"].startswith(name)) == (MODEL, True)
    left = datetime.fromisoformat(row["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


async def test_it_expires_after_a_week_unless_said_and_after_a_month_at_most(http: httpx.AsyncClient) -> None:
    change = {"version": "9", "weight_bp": 100, "in_advance": True}
    await http.put(f"{ROUTE}/weight", json=change)
    (row,) = await in_advance(http)
    left = datetime.fromisoformat(row["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
    too_long = await http.put(f"{ROUTE}/weight", json=change | {"expires_s": 31 * 24 * 3600})
    assert (too_long.status_code, too_long.json()["pointer"]) == (422, "/expires_s")


async def test_what_exists_is_not_in_advance_though_it_was_asked_for_so(
    site: Site, http: httpx.AsyncClient
) -> None:
    site.snapshot = a_snapshot(a_version("1"), canary=a_version("2"))
    change = {"version": "2", "weight_bp": 100, "in_advance": True}
    assert (await http.put(f"{ROUTE}/weight", json=change)).status_code == 200
    assert await in_advance(http) == []


async def test_nothing_makes_a_candidate_of_the_champion(http: httpx.AsyncClient) -> None:
    change = {"version": "1", "weight_bp": 100, "in_advance": True}
    assert (await http.put(f"{ROUTE}/weight", json=change)).status_code == 422


def decided_in_advance(site: Site) -> ModelRouting:
    until = datetime.now(UTC) + timedelta(hours=1)
    return site.ledger.routing.set_weight(MODEL, "9", 100, actor="ada", in_advance_until=until)


def test_what_never_came_to_exist_counts_no_more_when_it_expires(site: Site) -> None:
    stored, now = decided_in_advance(site), datetime.now(UTC)
    assert arrivals(stored, {"champion": "1"}, now) == ()
    assert (stored.in_force(now).weight_bp, stored.in_force(now + timedelta(hours=2)).weight_bp) == (100, 0)


def test_what_came_to_exist_in_time_does_not_expire(site: Site) -> None:
    stored, now = decided_in_advance(site), datetime.now(UTC)
    aliases = {"champion": "1", "challenger": "9"}
    later = now + timedelta(hours=2)
    assert arrivals(stored, aliases, later) == (), "too late"
    arrived = site.ledger.routing.arrived(MODEL, arrivals(stored, aliases, now))
    assert arrived.in_force(later).weight_bp == 100
    assert arrivals(arrived, aliases, now) == (), "nothing is written a second time"


async def test_a_change_for_another_revision_is_a_conflict(site: Site, http: httpx.AsyncClient) -> None:
    site.snapshot = a_snapshot(a_version("1"), canary=a_version("2"))
    (model,) = (await http.get("/v1/routes")).json()["models"]
    change = {"version": "2", "weight_bp": 100, "expected_revision": model["revision"]}
    first = await http.put(f"{ROUTE}/weight", json=change)
    assert first.status_code == 200, first.text
    second = await http.put(f"{ROUTE}/weight", json=change | {"weight_bp": 900})
    assert (second.status_code, second.json()["code"]) == (409, "routing-conflict")
    assert site.ledger.routing.get(MODEL).weight_bp == 100
    (model,) = first.json()["models"]
    third = await http.put(
        f"{ROUTE}/weight", json=change | {"weight_bp": 900, "expected_revision": model["revision"]}
    )
    assert third.status_code == 200


async def test_a_weight_in_advance_takes_none_away_from_a_version_that_has_it(
    site: Site, http: httpx.AsyncClient
) -> None:
    """A model has one weight: what is meant for later would end what answers now."""
    site.snapshot = a_snapshot(a_version("1"), canary=a_version("2"))
    await http.put(f"{ROUTE}/weight", json={"version": "2", "weight_bp": 5_000})
    later = {"version": "3", "weight_bp": 100, "in_advance": True}
    answer = await http.put(f"{ROUTE}/weight", json=later)
    assert (answer.status_code, answer.json()["code"]) == (409, "routing-conflict")
    assert "version 2 has a weight of 50 %" in answer.json()["detail"]
    assert site.ledger.routing.get(MODEL).version == "2"
    await http.put(f"{ROUTE}/weight", json={"version": "2", "weight_bp": 0})
    assert (await http.put(f"{ROUTE}/weight", json=later)).status_code == 200


async def test_an_alias_that_was_just_set_is_waited_for(site: Site, http: httpx.AsyncClient) -> None:
    newer = a_snapshot(a_version("1"), canary=a_version("2"))
    site.looks_again.append(newer)
    assert (await http.put(f"{ROUTE}/weight", json={"version": "2", "weight_bp": 100})).status_code == 200
    assert site.looks_again == []
