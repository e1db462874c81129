"""A decision about something that does not exist is refused with a sentence that says what does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from serve_apps.application.routing_snapshot import VariantState, VariantStatus
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.site import Site

ROUTE = "/v1/routes/ich-triage"


@pytest.fixture(autouse=True)
def with_candidate(site: Site) -> None:
    """Version 1 is the champion, 2 the challenger, 3 a shadow, 4 an arm that is loading."""
    rest = tuple(
        VariantStatus("ich-triage", version, alias, VariantState.LOADING)
        for version, alias in (("3", "shadow-next"), ("4", "arm-a"))
    )
    snapshot = a_snapshot(a_version("1"), canary=a_version("2"))
    site.snapshot = replace(snapshot, variants=snapshot.variants + rest)


@pytest.mark.parametrize(
    ("path", "change", "pointer", "told"),
    [
        ("weight", {"version": "9", "weight_bp": 100}, "/version", "its challenger is version 2"),
        ("weight", {"version": "1", "weight_bp": 100}, "/version", "the champion already"),
        ("weight", {"version": "3", "weight_bp": 100}, "/version", "its challenger is version 2"),
        ("shadow", {"alias": "shadow-x", "percent": 5}, "/alias", "challenger, shadow-next"),
        ("pin", {"patient_id": "p", "variant": "arm-b"}, "/variant", "arm-a, canary, champion"),
        ("pin", {"patient_id": "p", "variant": "shadow-next"}, "/variant", "arm-a, canary, champion"),
        (
            "rules",
            {
                "rules": [
                    {"name": "a", "variant": "champion", "sites": ["n"]},
                    {"name": "b", "variant": "beta", "sites": ["s"]},
                ]
            },
            "/rules/1/variant",
            "arm-a, canary, champion",
        ),
    ],
)
async def test_what_does_not_exist_is_422_and_nothing_is_written(
    site: Site, http: httpx.AsyncClient, path: str, change: dict[str, Any], pointer: str, told: str
) -> None:
    answer = await http.put(f"{ROUTE}/{path}", json=change)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["pointer"]) == (422, "invalid-field", pointer)
    assert told in problem["detail"]
    assert site.ledger.routing.all() == {}
    assert site.announced == 0


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("weight", {"version": "2", "weight_bp": 100}),
        ("shadow", {"alias": "shadow-next", "percent": 5}),
        ("shadow", {"alias": "challenger", "percent": 5}),
        ("pin", {"patient_id": "p", "variant": "arm-a"}),
        ("pin", {"patient_id": "p", "variant": "canary"}),
    ],
)
async def test_what_exists_may_be_set_though_it_is_not_ready_yet(
    http: httpx.AsyncClient, path: str, change: dict[str, Any]
) -> None:
    answer = await http.put(f"{ROUTE}/{path}", json=change)
    assert answer.status_code == 200, answer.text


async def test_a_weight_of_nothing_is_taken_also_when_the_alias_is_gone(
    site: Site, http: httpx.AsyncClient
) -> None:
    await http.put(f"{ROUTE}/weight", json={"version": "2", "weight_bp": 100})
    site.snapshot = a_snapshot(a_version("1"))
    answer = await http.put(f"{ROUTE}/weight", json={"version": "2", "weight_bp": 0})
    assert answer.status_code == 200, answer.text
    assert site.ledger.routing.get("ich-triage").weight_bp == 0
    again = await http.put(f"{ROUTE}/weight", json={"version": "2", "weight_bp": 100})
    assert again.status_code == 422
    assert "no version of it carries the alias challenger" in again.json()["detail"]
