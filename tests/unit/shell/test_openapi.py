"""The API's own description: every route stands in it with its key, its subject, its words and its problems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from serve_apps.api.app import create_app

DOCUMENT = create_app(lambda: pytest.fail("nobody asks")).openapi()
OPEN = {"/healthz", "/readyz", "/v1/webhooks/mlflow"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


@pytest.mark.parametrize(("method", "path", "operation"), operations(), ids=lambda part: str(part)[:60])
def test_an_operation_says_what_it_does_and_how_it_fails(
    method: str, path: str, operation: dict[str, Any]
) -> None:
    assert operation["tags"]
    assert operation.get("description") or operation["summary"]
    assert ("security" in operation) is (path not in OPEN), path
    problems = {s for s, r in operation["responses"].items() if "application/problem+json" in str(r)}
    assert {"401", "422", "503"} <= problems


def test_every_scope_that_a_route_asks_for_is_written_there() -> None:
    scopes = {
        (method, path): tuple(
            scope for need in operation.get("security", ()) for scope in need["APIKeyHeader"]
        )
        for method, path, operation in operations()
    }
    assert scopes["POST", "/v1/jobs"] == ("jobs:write",)
    assert scopes["GET", "/v1/jobs"] == ("results:read",)
    assert scopes["PUT", "/v1/freeze"] == ("admin",)


async def test_the_description_needs_no_key(http: httpx.AsyncClient) -> None:
    assert (await http.get("/openapi.json", headers={"X-API-Key": "x"})).status_code == 200
