"""A request and its answer in plain ASGI, without a server: a test says what comes, and sees what goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

NEVER = object()  # in a request's body: nothing more comes, and the connection stays open


class Exchange:
    """One request. `pieces` come one by one; after the last one the client waits, unless it is NEVER."""

    def __init__(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, pieces: tuple[Any, ...] = ()
    ) -> None:
        self.scope: Scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()],
        }
        self.taken = 0  # pieces of the body that were read
        self.sent: list[Message] = []
        self._pieces = pieces

    async def of(self, app: ASGIApp) -> Exchange:
        await app(self.scope, self.receive, self.send)
        return self

    async def receive(self) -> Message:
        if self.taken < len(self._pieces):
            piece = self._pieces[self.taken]
            if piece is NEVER:
                await asyncio.Event().wait()
            self.taken += 1
            return {"type": "http.request", "body": piece, "more_body": self.taken < len(self._pieces)}
        if not self._pieces and self.taken == 0:
            self.taken = 1
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def code(self) -> str:
        body = b"".join(message.get("body", b"") for message in self.sent[1:])
        return str(json.loads(body)["code"])


class Recorder:
    """An application that reads its request's body to the end and says what it was."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
