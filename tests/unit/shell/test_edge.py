"""The edge: no body is read without a key, or that is too large or too slow, and health has its own lane."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.types import Message, Receive, Scope, Send

from core.errors import Unauthenticated
from serve_apps.api.app import ROUTERS
from serve_apps.api.edge import refusal
from serve_apps.api.edge.edge import Edge, Guard
from serve_apps.api.edge.intake import Lane, Limits, intake_of
from serve_apps.api.edge.stand_in import StandIn
from serve_apps.application.callers import Caller
from tests.unit.shell.asgi import NEVER, Exchange, Recorder

KEY = {"X-API-Key": "good"}
JSON = KEY | {"Content-Length": "3"}
CHUNKED = KEY | {"Transfer-Encoding": "chunked"}
LIMITS = Limits(
    max_store_bytes=1000, max_call_bytes=100, call_body_s=0.01, store_pause_s=0.01, store_grace_s=30.0
)
STORE = "/dicom-web/studies"


class Keys:
    def authenticate(self, presented: str | None) -> Caller:
        if presented != "good":
            raise Unauthenticated("send a valid key")
        return Caller("ris", frozenset(), "ris")


def edge(app: Any, limits: Limits = LIMITS, clock: Any = None) -> Edge:
    guard = Guard(Keys(), limits)
    return Edge(app, lambda: guard, **({"clock": clock} if clock else {}))


@pytest.fixture(autouse=True)
def no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusal, "LINGER_S", 0.005)


async def test_without_a_key_no_byte_of_the_body_is_waited_for() -> None:
    app = Recorder()
    asked = await Exchange("POST", "/v1/jobs", {"Content-Length": "400000000"}, (NEVER,)).of(edge(app))
    assert (asked.status, asked.code, asked.headers["connection"]) == (401, "unauthenticated", "close")
    assert app.bodies == []


async def test_a_refused_client_that_still_sends_is_read_for_a_moment_and_no_longer() -> None:
    """Else the connection would be reset and it might never see why."""
    pieces = (b"x" * (1 << 20),) * 100
    asked = await Exchange("POST", "/v1/jobs", {"Content-Length": "104857600"}, pieces).of(edge(Recorder()))
    assert asked.status == 401
    assert asked.taken * (1 << 20) == refusal.LINGER_BYTES
    assert asked.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_a_call_is_passed_on_when_its_body_is_whole() -> None:
    app = Recorder()
    asked = await Exchange("POST", "/v1/jobs", CHUNKED, (b"ab", b"c")).of(edge(app))
    assert (asked.status, app.bodies) == (200, [b"abc"])


@pytest.mark.parametrize(
    ("path", "headers", "pieces"),
    [
        ("/v1/jobs", KEY | {"Content-Length": "101"}, (NEVER,)),
        ("/v1/jobs", KEY | {"Content-Length": "9" * 5000}, (NEVER,)),
        ("/v1/jobs", CHUNKED, (b"x" * 60, b"x" * 60, NEVER)),
        (STORE, KEY | {"Content-Length": "1001"}, (NEVER,)),
        (STORE, CHUNKED, (b"x" * 900, b"x" * 200, NEVER)),
        ("/healthz", {"Content-Length": "1"}, (NEVER,)),
        ("/healthz", {"Transfer-Encoding": "chunked"}, (NEVER,)),
        ("/v1/webhooks/mlflow", {"Content-Length": "70000"}, (NEVER,)),
    ],
)
async def test_what_is_too_large_is_413(path: str, headers: dict[str, str], pieces: tuple[Any, ...]) -> None:
    app = Recorder()
    asked = await Exchange("POST", path, headers, pieces).of(edge(app))
    assert (asked.status, asked.code, app.bodies) == (413, "body-too-large", [])


@pytest.mark.parametrize("path", ["/v1/jobs", STORE])
async def test_a_body_that_stalls_is_408_and_frees_its_place(path: str) -> None:
    app = Recorder()
    one_place = replace(LIMITS, places=dict.fromkeys(Lane, 1))
    door = edge(app, one_place)
    for _ in range(2):
        asked = await Exchange("POST", path, CHUNKED, (b"x", NEVER)).of(door)
        assert (asked.status, asked.code) == (408, "request-timeout")
    assert app.bodies == []


async def test_a_study_that_crawls_is_408_though_it_never_stalls() -> None:
    now = iter([0.0, 29.0, 31.0])
    pieces = (b"x", b"x", NEVER)
    asked = await Exchange("POST", STORE, CHUNKED, pieces).of(edge(Recorder(), clock=lambda: next(now)))
    assert (asked.status, asked.code) == (408, "request-timeout")


async def test_what_the_application_makes_of_a_broken_off_study_is_not_told() -> None:
    async def says_500(scope: Scope, receive: Receive, send: Send) -> None:
        await Recorder()(scope, receive, send)
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    asked = await Exchange("POST", STORE, CHUNKED, (b"x", NEVER)).of(edge(says_500))
    assert (asked.status, len([m for m in asked.sent if m["type"] == "http.response.start"])) == (408, 1)


async def test_a_client_that_leaves_before_its_body_is_whole_is_not_answered() -> None:
    asked = Exchange("POST", "/v1/jobs", CHUNKED)

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    app = Recorder()
    await edge(app)(asked.scope, gone, asked.send)
    assert (asked.sent, app.bodies) == ([], [])


class Busy:
    """An application whose requests do not end, but those to health."""

    def __init__(self) -> None:
        self.begun = 0
        self.end = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        if scope["path"] != "/healthz":
            await self.end.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def test_health_answers_while_every_other_place_is_taken() -> None:
    app = Busy()
    door = edge(app, replace(LIMITS, places=dict.fromkeys(Lane, 3)))
    calls = [asyncio.create_task(Exchange("GET", "/v1/jobs", KEY).of(door)) for _ in range(3)]
    while app.begun < 3:
        await asyncio.sleep(0)
    refused = await Exchange("GET", "/v1/jobs", KEY).of(door)
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (429, "overloaded", "2")
    assert (await Exchange("GET", "/healthz").of(door)).status == 200
    app.end.set()
    assert {(await call).status for call in calls} == {200}
    assert (await Exchange("GET", "/v1/jobs", KEY).of(door)).status == 200


def test_every_route_that_needs_a_key_needs_it_at_the_edge_too_and_no_other() -> None:
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            for method in route.methods:
                intake = intake_of(method, route.path.replace("{", "").replace("}", ""), LIMITS)
                asks = "caller_of" in _needs(route.dependant)
                assert intake.needs_key is asks, f"{method} {route.path}"


def _needs(dependant: Any) -> list[str]:
    mine = [getattr(dependant.call, "__name__", "")]
    return mine + [name for child in dependant.dependencies for name in _needs(child)]


# ---- what Serve itself says


def serve_says(status: int, media: str = "text/plain; charset=utf-8") -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raw = [(b"content-type", media.encode())]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": b"Serve's own words", "more_body": False})

    return app


@pytest.mark.parametrize(
    ("status", "told", "code"),
    [
        (500, 503, "api-unavailable"),
        (503, 503, "api-unavailable"),
        (404, 503, "api-unavailable"),
        (429, 429, "overloaded"),
        (408, 504, "deadline-exceeded"),
    ],
)
async def test_an_error_of_serves_own_becomes_a_problem(status: int, told: int, code: str) -> None:
    asked = await Exchange("GET", "/v1/jobs").of(StandIn(serve_says(status)))
    assert (asked.status, asked.code) == (told, code)
    assert asked.headers["content-type"] == "application/problem+json"
    assert told == 504 or asked.headers["retry-after"] == "2"


async def test_a_router_that_is_gone_without_a_word_is_503() -> None:
    async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
        return

    asked = await Exchange("POST", "/v1/jobs").of(StandIn(nothing))
    assert (asked.status, asked.code, asked.headers["retry-after"]) == (503, "api-unavailable", "2")


@pytest.mark.parametrize(
    ("status", "media", "path"),
    [
        (404, "application/problem+json", "/v1/jobs/x"),
        (200, "text/plain", "/v1/jobs"),
        (503, "text/plain", "/-/healthz"),
    ],
    ids=["the application's own problem", "no error", "Serve's own health"],
)
async def test_an_answer_is_let_through(status: int, media: str, path: str) -> None:
    asked = await Exchange("GET", path).of(StandIn(serve_says(status, media)))
    assert (asked.status, asked.sent[1]["body"]) == (status, b"Serve's own words")
