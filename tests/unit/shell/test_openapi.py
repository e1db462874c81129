"""The API's own description: every route stands in it with its key, its subject, its words and its problems."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from serve_apps.api import (
    cost_schemas,
    drift_schemas,
    key_schemas,
    recall_schemas,
    replay_schemas,
    rollout_schemas,
    routing_schemas,
    schemas,
    truth_schemas,
    truth_set_schemas,
)
from serve_apps.api.app import create_app
from serve_apps.api.examples import BY_SCHEMA
from serve_apps.api.problems import STATUS_BY_CODE

DOCUMENT = create_app(lambda: pytest.fail("nobody asks")).openapi()
WIRES = (
    schemas,
    rollout_schemas,
    routing_schemas,
    key_schemas,
    truth_schemas,
    recall_schemas,
    replay_schemas,
    truth_set_schemas,
    cost_schemas,
    drift_schemas,
)
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


def bodies(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for media in operation.get("requestBody", {}).get("content", {}).values():
        yield "request", media
    for status, answer in operation["responses"].items():
        for media in answer.get("content", {}).values():
            yield status, media


def has_example(media: dict[str, Any]) -> bool:
    name = media.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return "example" in media or "examples" in DOCUMENT["components"]["schemas"].get(name, {})


@pytest.mark.parametrize(("method", "path", "operation"), operations(), ids=lambda part: str(part)[:60])
def test_every_body_has_an_example(method: str, path: str, operation: dict[str, Any]) -> None:
    told = [where for where, media in bodies(operation) if not has_example(media)]
    assert told == []
    assert method in ("DELETE", "POST") or "200" in operation["responses"]


@pytest.mark.parametrize("name", sorted(BY_SCHEMA.keys() - {"Problem"}))
def test_an_example_is_valid(name: str) -> None:
    (model,) = {vars(module)[name] for module in WIRES if name in vars(module)}
    assert issubclass(model, BaseModel)
    assert model.model_validate_json(json.dumps(BY_SCHEMA[name]))


def test_the_example_of_a_problem_is_one_that_is_raised() -> None:
    problem = BY_SCHEMA["Problem"]
    assert STATUS_BY_CODE[problem["code"]] == problem["status"]


def test_no_parameter_may_be_null() -> None:
    """There is no text in a path, query or header that means it."""
    for _, path, operation in operations():
        for parameter in operation.get("parameters", ()):
            assert "null" not in str(parameter["schema"]), (path, parameter["name"])


@pytest.mark.parametrize("field", ["series_uids", "outputs", "context"])
def test_every_list_of_a_submission_has_an_end(field: str) -> None:
    described = DOCUMENT["components"]["schemas"]["JobSubmission"]["properties"][field]
    assert described.keys() & {"maxItems", "maxProperties"}


def test_every_text_that_is_sent_has_an_end() -> None:
    for name in BY_SCHEMA:
        if name.endswith("In") or name in ("JobSubmission", "InferCall"):
            for field, described in DOCUMENT["components"]["schemas"][name]["properties"].items():
                for text in texts(described):
                    assert "maxLength" in text or "enum" in text or "pattern" in text, (name, field)


def texts(described: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if described.get("type") == "string":
        yield described
    for part in (
        described.get("items"),
        *described.get("anyOf", ()),
        *described.get("patternProperties", {}).values(),
    ):
        if part:
            yield from texts(part)
