"""Callers of ill will, on raw sockets: they hold what they can for as long as they are let."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from tests.stack import LiveStack

PATIENCE_S = 40.0  # of a hostile client; what it is told takes less, also on a busy machine


@dataclass(frozen=True, slots=True)
class Heard:
    """What a hostile client was told, and when its connection ended."""

    status: int | None
    body: bytes
    seconds: float
    sent: int


async def dribble(port: int, head: bytes, piece: bytes = b"x", pause_s: float = 0.5) -> Heard:
    """Send `head`, then a piece now and then, until the server hangs up or patience ends."""
    began, sent, raw = time.monotonic(), len(head), bytearray()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    ended = asyncio.create_task(_read(reader, raw))
    with suppress(OSError):
        while not ended.done() and time.monotonic() - began < PATIENCE_S:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
            await asyncio.wait([ended], timeout=pause_s)
    await asyncio.wait([ended], timeout=1.0)
    ended.cancel()
    writer.close()
    return heard(bytes(raw), time.monotonic() - began, sent)


async def _read(reader: asyncio.StreamReader, raw: bytearray) -> None:
    """What the server says, up to its end or to a reset, which takes nothing back of what was heard."""
    with suppress(OSError):
        while chunk := await reader.read(1 << 16):
            raw += chunk


def heard(raw: bytes, seconds: float, sent: int) -> Heard:
    head, _, body = raw.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.1 ") else None
    return Heard(status, body, seconds, sent)


def head_of(method: str, path: str, *lines: str, ends: bool = True) -> bytes:
    request = [f"{method} {path} HTTP/1.1", "Host: serinus", "Content-Type: application/json", *lines]
    return ("\r\n".join(request) + ("\r\n\r\n" if ends else "\r\n")).encode()


@dataclass(slots=True)
class LiveCalls:
    """What callers of good will heard meanwhile."""

    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def p99_s(self) -> float:
        return sorted(self.seconds)[int(len(self.seconds) * 0.99)]


async def call_meanwhile(
    stack: LiveStack, hostile: Callable[[], Awaitable[list[Heard]]]
) -> tuple[LiveCalls, list[Heard]]:
    """Ask for health, jobs and a submission, again and again, while `hostile` runs."""
    calls, attack = LiveCalls(), asyncio.ensure_future(hostile())
    await asyncio.sleep(0.5)
    headers = {"X-API-Key": stack.key}
    async with httpx.AsyncClient(base_url=stack.settings.api_url, headers=headers, timeout=20) as http:
        while not attack.done():
            for method, path, body in (
                ("GET", "/healthz", None),
                ("GET", "/readyz", None),
                ("GET", "/v1/jobs", None),
                ("POST", "/v1/jobs", {"study_uid": "2.25.31", "source": "samples"}),
            ):
                began = time.monotonic()
                try:
                    answer = await http.request(method, path, json=body)
                except httpx.HTTPError as error:
                    calls.wrong.append(f"{method} {path}: {type(error).__name__}")
                    continue
                calls.seconds.append(time.monotonic() - began)
                if answer.status_code not in (200, 202):
                    calls.wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
            await asyncio.sleep(0.05)
    return calls, await attack
