"""A connection that asks nothing is not kept: uvicorn's own parser, with a transport that writes nowhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from serve_apps.api.edge import connections
from serve_apps.api.edge.connections import Idle, TimedProtocol, time_connections

HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok", "more_body": False})


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TimedProtocol, "head_s", 0.02)
    monkeypatch.setattr(TimedProtocol, "head_bytes", 1000)
    monkeypatch.setattr(TimedProtocol, "unread_s", 0.02)
    monkeypatch.setattr(TimedProtocol, "idle", Idle(3), raising=False)


def connect(keep_alive_s: int = 5) -> tuple[TimedProtocol, Wire]:
    config = Config(hello, log_config=None, lifespan="off", timeout_keep_alive=keep_alive_s)
    protocol, wire = TimedProtocol(config, ServerState(), {}, asyncio.get_running_loop()), Wire()
    protocol.connection_made(wire)
    return protocol, wire


async def until_closed(wire: Wire) -> None:
    for _ in range(200):
        if wire.closed:
            return
        await asyncio.sleep(0.002)
    raise AssertionError("the connection was kept")


async def test_a_client_that_says_nothing_is_left_without_a_word() -> None:
    _, wire = connect()
    await until_closed(wire)
    assert wire.written == b""


async def test_a_head_that_does_not_end_in_time_is_408() -> None:
    protocol, wire = connect()
    protocol.data_received(HEAD[:20])
    await until_closed(wire)
    assert wire.written.startswith(b"HTTP/1.1 408 ")
    assert b"content-type: application/problem+json" in wire.written


async def test_a_head_without_end_is_431_before_its_time_is_over() -> None:
    protocol, wire = connect()
    protocol.data_received(HEAD[:-2] + b"X: ")
    protocol.data_received(b"a" * 2000)
    assert wire.closed
    assert wire.written.startswith(b"HTTP/1.1 431 ")


async def test_what_is_no_http_is_a_problem_too() -> None:
    protocol, wire = connect()
    protocol.data_received(b"\x16\x03\x01 hello\r\n\r\n")
    assert (wire.closed, wire.written[:13]) == (True, b"HTTP/1.1 400 ")


async def test_a_client_that_asks_in_time_is_answered_and_may_ask_again() -> None:
    protocol, wire = connect()
    for count in (1, 2):
        protocol.data_received(HEAD)
        while wire.written.count(b"200 OK") < count:
            await asyncio.sleep(0)
    assert not wire.closed
    protocol.connection_lost(None)


async def test_a_request_under_way_has_no_deadline_here() -> None:
    protocol, _ = connect()
    protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
    assert len(protocol.idle) == 0
    protocol.connection_lost(None)


async def test_a_client_that_does_not_read_its_answer_is_cut_off() -> None:
    protocol, wire = connect()
    protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
    protocol.pause_writing()
    protocol.resume_writing()
    await asyncio.sleep(0.03)
    assert not wire.closed
    protocol.pause_writing()
    await until_closed(wire)
    protocol.connection_lost(None)


async def test_of_too_many_that_ask_nothing_the_oldest_goes() -> None:
    first, *others = [connect() for _ in range(4)]
    assert first[1].closed
    assert not any(wire.closed for _, wire in others)
    for protocol, _ in others:
        protocol.connection_lost(None)
    assert len(TimedProtocol.idle) == 0


def test_every_server_of_the_process_speaks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import uvicorn.config

    known = dict(uvicorn.config.HTTP_PROTOCOLS)
    monkeypatch.setattr(uvicorn.config, "HTTP_PROTOCOLS", known)
    monkeypatch.setattr(connections, "_open_files", lambda: 1024)
    time_connections()
    config = Config(hello, log_config=None)
    config.load()
    assert config.http_protocol_class is TimedProtocol
