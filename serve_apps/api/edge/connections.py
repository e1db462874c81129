"""Connections that ask nothing: each has a time to send its headers, and there is a number of them.

uvicorn bounds neither the time nor the size of a request's head, nor how many connections are open, and no ASGI
application sees a request before its head is whole; so this sits where uvicorn parses.
"""

from __future__ import annotations

import asyncio
import json
import resource
from collections import OrderedDict
from typing import Any, ClassVar, Final

import uvicorn.config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serve_apps.api.problems import Problem

HEAD_S: Final = 10.0
HEAD_BYTES: Final = 64 << 10
UNREAD_S: Final = 30.0  # for a client to take what waits for it, 48 KiB of it at least
MOST_CONNECTIONS: Final = 4096
OTHER_FILES: Final = 256  # that the process has open besides
WANTED_FILES: Final = 65536


class Idle:
    """The connections of a process that have no request under way, oldest first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._order: OrderedDict[HttpToolsProtocol, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._order)

    def add(self, connection: HttpToolsProtocol) -> HttpToolsProtocol | None:
        """Remember the connection; returns the oldest other one when there are more than may be."""
        self._order[connection] = None
        self._order.move_to_end(connection)
        return next(iter(self._order)) if len(self._order) > self._most else None

    def discard(self, connection: HttpToolsProtocol) -> None:
        self._order.pop(connection, None)


class TimedProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, to clients that say within `head_s` what they want.

    A connection that asks nothing is closed, in good order: with 408 when the head has begun and is late, with 431
    when it is too large, silently when nothing was said or when it is the oldest of too many.
    """

    idle: ClassVar[Idle]
    head_s: ClassVar[float] = HEAD_S
    head_bytes: ClassVar[int] = HEAD_BYTES
    unread_s: ClassVar[float] = UNREAD_S

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._in_head = False
        self._head_size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._grow_idle(self.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._be_busy()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self.unread_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > self.head_bytes:
                detail = f"a request's head has at most {self.head_bytes} bytes"
                self._hang_up(Problem("head-too-large", detail))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._answers:
            self._grow_idle(self.head_s)
            self._in_head = True

    def on_headers_complete(self) -> None:
        self._be_busy()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if (
            not self._answers
        ):  # what is left of an unread body ends by the same deadline as an idle connection
            self._grow_idle(self.timeout_keep_alive + self.head_s)

    def send_400_response(self, msg: str) -> None:
        self._hang_up(Problem("bad-request", "this is no HTTP request"))

    @property
    def _answers(self) -> bool:
        """Whether a request is under way."""
        return self.cycle is not None and not self.cycle.response_complete

    def _grow_idle(self, within_s: float) -> None:
        self._be_busy()
        if self.transport.is_closing():
            return
        self._deadline = self.loop.call_later(within_s, self._late)
        oldest = self.idle.add(self)
        if isinstance(oldest, TimedProtocol):
            oldest._hang_up(None)

    def _be_busy(self) -> None:
        self._in_head, self._head_size = False, 0
        self.idle.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        detail = f"a request's head comes within {self.head_s:g} s"
        self._hang_up(Problem("request-timeout", detail, retryable=True) if self._in_head else None)

    def _hang_up(self, problem: Problem | None) -> None:
        self._be_busy()
        if problem is not None and not self.transport.is_closing():
            self.transport.write(as_bytes(problem))
        self.transport.close()


def as_bytes(problem: Problem) -> bytes:
    """A whole HTTP/1.1 response, for a request that never was one."""
    body = json.dumps(problem.body()).encode()
    headers = problem.headers | {"Content-Length": str(len(body)), "Connection": "close"}
    lines = "".join(f"{name.lower()}: {value}\r\n" for name, value in headers.items())
    return STATUS_LINE[problem.status] + lines.encode() + b"\r\n" + body


def time_connections() -> None:
    """Have every uvicorn server that starts in this process from now on speak `TimedProtocol`."""
    TimedProtocol.idle = Idle(min(MOST_CONNECTIONS, _open_files() - OTHER_FILES))
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{TimedProtocol.__module__}:{TimedProtocol.__name__}"


def _open_files() -> int:
    """How many files the process may have open, raised as far as it may raise it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if most == resource.RLIM_INFINITY else min(most, WANTED_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    return wanted
