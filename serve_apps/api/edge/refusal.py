"""A problem as an answer, also to a client that still sends."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from starlette.types import Receive, Send

from serve_apps.api.problems import Problem

LINGER_S = 1.0
LINGER_BYTES = 4 << 20


async def refuse(problem: Problem, receive: Receive, send: Send, *, unread: bool) -> None:
    """Answer with the problem. Where a body is left unread the connection is closed behind the answer.

    What still comes is thrown away for a moment first: to close a connection that has unread bytes resets it, and a
    client that is reset may never see the answer (RFC 9112 9.6).
    """
    body = json.dumps(problem.body()).encode()
    headers = (
        problem.headers | {"Content-Length": str(len(body))} | ({"Connection": "close"} if unread else {})
    )
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": unread})
    if unread:
        await _throw_away(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _throw_away(receive: Receive) -> None:
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while size < LINGER_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
