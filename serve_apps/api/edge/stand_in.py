"""Answers in the place of an application that cannot answer: Serve itself says it in plain text, or not at all.

While a router is replaced, killed or not yet there, Serve's proxy gives 404, 500 or 503 as text. A caller shall see
one form of error only, and when to come back.
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_apps.api.edge.refusal import refuse
from serve_apps.api.problems import Problem

SERVES_OWN = "text/plain"  # none of our errors is plain text
AWAY = "no router answers now; send it again, with the same Idempotency-Key if it had one"
SERVES_PATHS = "/-/"  # what Serve itself answers there is for Serve's own tools


class StandIn:
    """ASGI middleware around what Serve does with a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(SERVES_PATHS):
            await self._app(scope, receive, send)
            return
        heard = Heard(send)
        try:
            await self._app(scope, receive, heard)
        finally:
            if not heard.is_answer:
                await refuse(problem_for(heard.status), receive, send, unread=True)


class Heard:
    """A `send` that lets an answer through, and keeps back an error of Serve's own."""

    def __init__(self, send: Send) -> None:
        self.is_answer = False
        self.status: int | None = None
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self.is_answer:
            self.status = message["status"]
            self.is_answer = not is_serves_own(message)
        if self.is_answer:
            await self._send(message)


def is_serves_own(message: Message) -> bool:
    """Whether the start of a response is an error that Serve has written."""
    media = Headers(raw=list(message.get("headers", []))).get("content-type", "")
    return int(message["status"]) >= HTTPStatus.BAD_REQUEST and media.startswith(SERVES_OWN)


def problem_for(status: int | None) -> Problem:
    """What a caller is told of Serve's own error; None: it gave no answer at all."""
    if status == HTTPStatus.REQUEST_TIMEOUT:
        return Problem("deadline-exceeded", "the request took longer than any may", retryable=True)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Problem("overloaded", "too many requests are under way; come back in a moment", retryable=True)
    return Problem("api-unavailable", AWAY, retryable=True)
