"""The edge around the very server that Serve starts, on a socket, with times that a test can wait for."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import psutil
import pytest
import uvicorn.config
from ray.serve._private.http_util import start_asgi_http_server
from ray.serve.config import HTTPOptions
from starlette.types import Receive, Send
from starlette.types import Scope as Asked

from ledger import ApiKey
from serve_apps.api.edge.around_serve import around_serve
from serve_apps.api.edge.connections import TimedProtocol
from serve_apps.api.edge.edge import Guard
from serve_apps.api.edge.intake import Lane, Limits
from serve_apps.application.callers import Scope, digest_of
from serve_apps.application.key_ring import KeyRing
from serve_apps.embedded.ports import free_ports
from tests.e2e.hostile import Heard, dribble, head_of
from tests.stack import eventually
from tests.unit.shell.asgi import Recorder

CROWD = 450
LIMITS = Limits(max_store_bytes=1 << 20, call_body_s=1.0, store_pause_s=1.0)


class Talker(Recorder):
    """Its description is long."""

    async def __call__(self, scope: Asked, receive: Receive, send: Send) -> None:
        if scope["path"] != "/openapi.json":
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(256):
            await send({"type": "http.response.body", "body": b"x" * (1 << 16), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Served:
    """Serve's HTTP server around an application that says yes to everything, in a thread of its own."""

    def __init__(self) -> None:
        self.key, ring = "a key", KeyRing()
        digest, made_at = digest_of(self.key), datetime.now(UTC)
        ring.take([ApiKey("srn_1", "ris", "ris", (Scope.ADMIN.value,), digest, made_at, "the test")])
        (self.port,) = free_ports(1)
        self.limits = replace(LIMITS, places=dict.fromkeys(Lane, 400) | {Lane.PAGE: 4})
        self._guard = Guard(ring, self.limits)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        eventually(lambda: httpx.get(f"{self.url}/healthz").status_code or None, 20, "the server")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self) -> None:
        options = HTTPOptions(host="127.0.0.1", port=self.port)
        options.middlewares.extend(around_serve(self._guard))
        loop = asyncio.get_running_loop()
        task, self._server = await start_asgi_http_server(Talker(), options, event_loop=loop)
        await task

    def close(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(20)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(TimedProtocol, "head_s", 6.0)  # a busy machine needs seconds to accept a crowd
    monkeypatch.setattr(TimedProtocol, "unread_s", 1.0)
    monkeypatch.setattr(uvicorn.config, "HTTP_PROTOCOLS", dict(uvicorn.config.HTTP_PROTOCOLS))
    server = Served()
    yield server
    server.close()


async def crowd(served: Served, head: bytes, piece: bytes = b"x", many: int = CROWD) -> list[Heard]:
    """A crowd that does the same, while one who asks for health is answered."""
    attack = asyncio.gather(*(dribble(served.port, head, piece) for _ in range(many)))
    slowest = 0.0
    async with httpx.AsyncClient(base_url=served.url, timeout=10) as http:
        while not attack.done():
            began = time.monotonic()
            assert (await http.get("/healthz")).status_code == 200
            slowest = max(slowest, time.monotonic() - began)
            await asyncio.sleep(0.05)
    assert slowest < 6
    return list(await attack)


def told(heard: list[Heard]) -> Counter[tuple[int | None, str]]:
    return Counter((each.status, str(json.loads(each.body)["code"])) for each in heard)


async def test_slow_bodies_without_a_key(served: Served) -> None:
    heard = await crowd(served, head_of("POST", "/v1/jobs", "Content-Length: 1000"))
    assert told(heard) == {(401, "unauthenticated"): CROWD}


@pytest.mark.parametrize("path", ["/v1/jobs", "/dicom-web/studies"])
async def test_slow_bodies_with_a_key(served: Served, path: str) -> None:
    """Those of calls have a time to be whole; those of studies must come at a pace, which this one keeps for now."""
    head = head_of("POST", path, "Content-Length: 1000", f"X-API-Key: {served.key}")
    heard = await crowd(served, head, b"x" if path == "/v1/jobs" else b"", many=50)
    assert told(heard) == {(408, "request-timeout"): 50}


async def test_slow_heads(served: Served) -> None:
    heard = await crowd(served, head_of("GET", "/healthz", ends=False), b"X-Y: z\r\n")
    assert told(heard) == {(408, "request-timeout"): CROWD}


async def test_connections_that_say_nothing(served: Served) -> None:
    heard = await crowd(served, b"", b"")
    assert {each.status for each in heard} == {None}
    assert max(each.seconds for each in heard) < 20


async def test_a_flood_without_a_key_is_not_taken_in(served: Served) -> None:
    before = psutil.Process().memory_info().rss
    head, piece = head_of("POST", "/v1/jobs", "Content-Length: 419430400"), b"x" * (1 << 20)
    heard = await asyncio.gather(*(dribble(served.port, head, piece, pause_s=0) for _ in range(4)))
    assert max(each.sent for each in heard) < 100 << 20
    assert psutil.Process().memory_info().rss - before < 100 << 20


async def test_a_client_that_sends_all_before_it_listens_still_hears_why(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url) as http:
        answer = await http.post("/v1/jobs", content=b"x" * 3_000_000)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_clients_that_do_not_read_their_answers_make_room(served: Served) -> None:
    many = served.limits.places[Lane.PAGE]
    connections = [await asyncio.open_connection("127.0.0.1", served.port, limit=1) for _ in range(many)]
    for _, writer in connections:
        writer.write(head_of("GET", "/openapi.json"))
    await asyncio.sleep(0.3)
    async with httpx.AsyncClient(base_url=served.url) as http:
        assert (await http.get("/openapi.json")).status_code == 429
        await asyncio.sleep(1.5)
        assert (await http.get("/openapi.json")).status_code == 200
    for _, writer in connections:
        writer.close()


async def test_a_request_with_a_key_is_passed_on(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url, headers={"X-API-Key": served.key}) as http:
        for _ in range(3):
            assert (await http.post("/v1/jobs", content=b"x" * 1000)).status_code == 200
        assert (await http.post("/v1/jobs", content=b"x" * 300_000)).status_code == 413
        assert (await http.post("/dicom-web/studies", content=b"x" * 900_000)).status_code == 200
