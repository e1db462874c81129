"""Keys by HTTP: made, listed, rotated and revoked by an administrator, in force at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from core.clock import now
from serve_apps.application.callers import Scope
from tests.unit.shell.site import Site

RIS = {"name": "orchestrator", "scopes": ["jobs:write", "results:read"]}


async def make(http: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await http.post("/v1/keys", json={**RIS, **more}, headers={"X-Serinus-Actor": "ada"})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def status_with(site: Site, key: str, path: str = "/v1/jobs") -> int:
    async with site.client(key) as http:
        return (await http.get(path)).status_code


async def test_a_new_key_counts_at_once_and_its_secret_is_told_once(
    site: Site, http: httpx.AsyncClient
) -> None:
    made = await make(http)
    assert made["key"].startswith(f"{made['id']}_")
    assert (made["tenant"], made["created_by"]) == ("orchestrator", "ris/ada")
    assert await status_with(site, made["key"]) == 200
    assert await status_with(site, made["key"], "/v1/keys") == 403
    listed = await http.get("/v1/keys")
    assert made["key"] not in listed.text
    (row,) = [key for key in listed.json()["keys"] if key["id"] == made["id"]]
    assert (row["state"], row["scopes"]) == ("valid", ["jobs:write", "results:read"])
    kept = "".join(str(row.detail) for row in site.ledger.audit.rows())
    assert made["key"] not in kept
    assert "key.create" in {row.action for row in site.ledger.audit.rows()}


async def test_a_key_is_rotated_without_a_gap(site: Site, http: httpx.AsyncClient) -> None:
    old = await make(http, tenant="north")
    new = await make(http)
    assert new["tenant"] == "north", "a name's keys are of one tenant"
    assert [await status_with(site, key["key"]) for key in (old, new)] == [200, 200]
    answer = (await http.delete(f"/v1/keys/{old['id']}")).json()
    assert [key["state"] for key in answer["revoked"]] == ["revoked"]
    assert [await status_with(site, key["key"]) for key in (old, new)] == [401, 200]


async def test_a_name_is_revoked_with_all_its_keys(site: Site, http: httpx.AsyncClient) -> None:
    keys = [await make(http), await make(http)]
    answer = (await http.delete("/v1/keys/orchestrator")).json()
    assert {key["id"] for key in answer["revoked"]} == {key["id"] for key in keys}
    assert [await status_with(site, key["key"]) for key in keys] == [401, 401]
    again = await http.delete("/v1/keys/orchestrator")
    assert (again.status_code, again.json()["code"]) == (404, "key-not-found")


async def test_a_key_does_not_revoke_itself(site: Site, http: httpx.AsyncClient) -> None:
    refused = await http.delete("/v1/keys/ris")
    assert (refused.status_code, refused.json()["code"]) == (409, "key-refused")
    assert await status_with(site, site.key) == 200


@pytest.mark.parametrize(
    "body",
    [
        {"scopes": ["everything"]},
        {"scopes": []},
        {"name": ""},
        {"name": "a/b"},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "9999-12-31T23:59:59-05:00"},
        {"expires_at": "tomorrow"},
        {"expires_at": {}},
        {"expires_at": 1.5},
        {"secret": "mine"},
    ],
    ids=[
        "unknown scope",
        "no scope",
        "no name",
        "a slash",
        "in the past",
        "beyond what UTC can say",
        "no time",
        "an object for a time",
        "a number for a time",
        "a secret",
    ],
)
async def test_what_makes_no_key_is_refused(
    site: Site, http: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    answer = await http.post("/v1/keys", json={**RIS, **body})
    assert answer.status_code == 422, answer.text
    assert len(site.ledger.keys.all()) == 2


async def test_another_tenant_for_the_same_name_is_refused(http: httpx.AsyncClient) -> None:
    await make(http)
    answer = await http.post("/v1/keys", json={**RIS, "tenant": "south"})
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/tenant")


async def test_an_expiry_is_told(http: httpx.AsyncClient) -> None:
    until = now() + timedelta(days=30)
    made = await make(http, expires_at=until.isoformat())
    assert made["expires_at"].startswith(until.isoformat()[:19])


async def test_only_an_administrator_makes_keys(site: Site) -> None:
    plain = site.new_key("plain", *(scope for scope in Scope if scope is not Scope.ADMIN))
    async with site.client(plain) as http:
        answers = [
            await http.post("/v1/keys", json=RIS),
            await http.get("/v1/keys"),
            await http.delete("/v1/keys/reader"),
        ]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
