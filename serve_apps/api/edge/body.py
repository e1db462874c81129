"""Bodies that come in good time and are no larger than they may be; what they cannot be is a Problem."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from serve_apps.api.edge.intake import Limits
from serve_apps.api.problems import Problem

DISCONNECT: Message = {"type": "http.disconnect"}
Clock = Callable[[], float]


class ClientGone(Exception):
    """The client has closed its connection before its request was whole."""


def has_body(headers: Headers) -> bool:
    """Whether the request says that a body follows (RFC 9112 6.3)."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def require_size(headers: Headers, most: int) -> None:
    """Raise Problem 413 for a body that is announced larger than `most` bytes, before any of it is read."""
    announced = headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and (len(announced) > 18 or int(announced) > most):
        raise too_large(most)
    if most == 0 and has_body(headers):
        raise too_large(most)


async def whole_body(receive: Receive, most: int, within_s: float) -> bytes:
    """The body, read to its end. Raises Problem 408 or 413, or ClientGone."""
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                body += message.get("body", b"")
                if len(body) > most:
                    raise too_large(most)
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise too_slow(f"the body did not come within {within_s:g} s") from None


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read, and then what else the connection has to say."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


class PacedBody:
    """A `receive` for a body that is read as it comes, which must not stall, crawl or grow too large.

    One that does ends for the reader as if the client had gone, and `fault` says why.
    """

    def __init__(self, receive: Receive, most: int, limits: Limits, clock: Clock) -> None:
        self.fault: Problem | None = None
        self._receive = receive
        self._most = most
        self._limits = limits
        self._clock = clock
        self._began_at = clock()
        self._size = 0
        self._is_whole = False

    async def __call__(self) -> Message:
        if self.fault is not None:
            return DISCONNECT
        if self._is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout(self._limits.store_pause_s):
                message = await self._receive()
        except TimeoutError:
            self.fault = too_slow(f"nothing came for {self._limits.store_pause_s:g} s")
            return DISCONNECT
        self._size += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        self.fault = None if self._is_whole and self._size <= self._most else self._wrong()
        return message if self.fault is None else DISCONNECT

    def _wrong(self) -> Problem | None:
        if self._size > self._most:
            return too_large(self._most)
        paid_s = self._clock() - self._began_at - self._limits.store_grace_s
        if self._size < paid_s * self._limits.store_bytes_per_s:
            return too_slow(f"a body comes with {self._limits.store_bytes_per_s:g} bytes a second at least")
        return None


def too_large(most: int) -> Problem:
    limit = f"at most {most} bytes are taken here" if most else "no body is taken here"
    return Problem("body-too-large", limit)


def too_slow(detail: str) -> Problem:
    return Problem("request-timeout", detail, retryable=True)
