"""What is too long, or no value of its kind, is told to its sender as a field, and reaches no database."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.shell.site import BODY, Site

LONG = "m" * 65


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs?since=2026-05-01T00:00:00",
        "/v1/jobs?cursor=abc",
        f"/v1/jobs?cursor={'9' * 30}.{'a' * 32}",
        "/v1/jobs?model=%00",
        "/v1/jobs?state=lost",
        "/v1/jobs/%00",
        f"/v1/jobs/{'a' * 65}/results",
        f"/v1/ab-tests/{LONG}",
        f"/v1/events?cursor={2**63}",
        "/v1/events?cursor=-1",
    ],
)
async def test_a_question_that_no_database_could_answer_is_422(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-field"), answer.text


async def test_the_longest_actor_is_kept_and_a_longer_one_refused(
    site: Site, http: httpx.AsyncClient
) -> None:
    longest = {"X-Serinus-Actor": "a" * 63}
    assert (await http.put("/v1/freeze", json={"reason": "drill"}, headers=longest)).status_code == 200
    assert site.ledger.audit.rows(limit=1)[0].actor == f"ris/{'a' * 63}"
    refused = await http.put("/v1/freeze", json={"reason": "drill"}, headers={"X-Serinus-Actor": "a" * 64})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid-field")


@pytest.mark.parametrize("path", [f"/v1/routes/{LONG}/pending/1", f"/v1/routes/ich/pending/{LONG}"])
async def test_a_name_that_is_too_long_reaches_no_audit(
    site: Site, http: httpx.AsyncClient, path: str
) -> None:
    answer = await http.delete(path, params={"reason": "gone"})
    assert answer.status_code == 422
    assert site.ledger.audit.rows(limit=1) == ()


async def test_a_callback_that_is_no_address_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/jobs", json=BODY | {"callback": "https://["})
    assert (answer.status_code, answer.json()["code"]) == (422, "url-refused")
    assert answer.json()["pointer"] == "/callback"


async def test_any_alias_of_the_registry_can_be_pinned(http: httpx.AsyncClient) -> None:
    """`arm-B_2` can be tested, so it can be pinned: what is wrong with it is only that it does not exist."""
    answer = await http.put("/v1/routes/ich-triage/pin", json={"patient_id": "p", "variant": "arm-B_2"})
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/variant")
    assert "champion" in answer.json()["detail"]
