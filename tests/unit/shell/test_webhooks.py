"""A webhook wakes the controller only when MLflow's signature is on it, and once."""

from __future__ import annotations

import time

import httpx
import pytest

from registry.webhook import expected_signature
from tests.unit.shell.site import Site

BODY = b'{"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}'
PATH = "/v1/webhooks/mlflow"


def signed(
    secret: str = "secret", *, age_s: float = 0, delivery: str = "d-1", body: bytes = BODY
) -> dict[str, str]:
    sent = str(int(time.time() - age_s))
    return {
        "X-API-Key": "",
        "X-MLflow-Delivery-Id": delivery,
        "X-MLflow-Timestamp": sent,
        "X-MLflow-Signature": expected_signature(secret, delivery, sent, body),
    }


async def test_a_signed_webhook_wakes_the_controller_once(site: Site, http: httpx.AsyncClient) -> None:
    headers = signed()
    answers = [await http.post(PATH, content=BODY, headers=headers) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {204}
    assert site.announced == 1
    await http.post(PATH, content=BODY, headers=signed(delivery="d-2"))
    assert site.announced == 2


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (signed("another secret"), BODY),
        (signed(), BODY + b" "),
        (signed(age_s=600), BODY),
        (signed(age_s=-86_400), BODY),  # made when the tests are collected, which may be minutes ago
        (signed() | {"X-MLflow-Timestamp": "soon"}, BODY),
        ({"X-API-Key": ""}, BODY),
        (signed() | {"X-MLflow-Signature": ""}, BODY),
    ],
    ids=["secret", "body", "old", "from the future", "no time", "unsigned", "empty signature"],
)
async def test_anything_else_is_refused_and_wakes_nobody(
    site: Site, http: httpx.AsyncClient, headers: dict[str, str], body: bytes
) -> None:
    answer = await http.post(PATH, content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert site.announced == 0


async def test_a_huge_body_is_refused(site: Site, http: httpx.AsyncClient) -> None:
    body = b"x" * (1 << 17)
    answer = await http.post(PATH, content=body, headers=signed(body=body))
    assert (answer.status_code, site.announced) == (413, 0)
