"""Rules and the safety net by HTTP: checked, audited, announced."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from ledger.tables import audit
from tests.unit.shell.site import Site

RULES = "/v1/routes/ich-triage/rules"


async def test_rules_are_set_as_a_whole_in_their_order(site: Site, http: httpx.AsyncClient) -> None:
    rules = [
        {"name": "old scanner", "variant": "champion", "scanners": ["SOMATOM 4"]},
        {"name": "north", "variant": "champion", "sites": ["north"], "modalities": ["CT"]},
    ]
    answer = await http.put(RULES, json={"rules": rules}, headers={"X-Serinus-Actor": "ada"})
    assert answer.status_code == 200, answer.text
    assert [rule.name for rule in site.ledger.routing.get("ich-triage").rules] == ["old scanner", "north"]
    assert site.ledger.audit.rows(limit=1)[0].actor == "ris/ada"
    assert (await http.put(RULES, json={"rules": []})).status_code == 200
    assert site.ledger.routing.get("ich-triage").rules == ()


@pytest.mark.parametrize(
    "rule",
    [
        {"name": "all", "variant": "champion"},
        {"name": "", "variant": "champion", "sites": ["x"]},
        {"name": "x", "variant": "champion", "sites": ["x"], "keys": ["pt-1"]},
    ],
    ids=["no condition", "no name", "keys are pins"],
)
async def test_a_rule_that_means_nothing_is_refused(
    site: Site, http: httpx.AsyncClient, rule: dict[str, Any]
) -> None:
    answer = await http.put(RULES, json={"rules": [rule]})
    assert (answer.status_code, site.announced) == (422, 0)


async def test_the_safety_nets_share_is_set(site: Site, http: httpx.AsyncClient) -> None:
    path = "/v1/routes/ich-triage/safety-net"
    assert (await http.put(path, json={"share_bp": 2_500})).status_code == 200
    assert site.ledger.routing.get("ich-triage").safety_net_bp == 2_500
    assert (await http.put(path, json={"share_bp": 10_001})).status_code == 422


async def test_the_audit_is_for_administrators_and_says_whether_it_is_whole(
    site: Site, http: httpx.AsyncClient
) -> None:
    await http.put("/v1/freeze", json={"reason": "a drill"})
    found = (await http.get("/v1/audit")).json()
    assert (found["rows"][0]["action"], found["problem"]) == ("freeze", None)
    assert site.anchor.keep().problem is None
    with site.ledger.database.write() as connection:
        connection.execute(sa.delete(audit))
    broken = (await http.get("/v1/audit")).json()
    assert (broken["first_broken"], "rows were cut" in broken["problem"]) == (2, True)
    assert (await http.get("/v1/audit", headers={"X-API-Key": site.reader_key})).status_code == 403
