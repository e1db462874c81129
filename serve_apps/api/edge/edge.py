"""The edge: the key before the body, the size before the bytes, and a place before the application.

It is plain ASGI and holds no more of a request than its limits allow. It stands twice: in the process that owns the
socket, where a slow or large request costs one connection and no slot of the application, and in the application
itself, for a site whose proxy does not carry it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import SerinusError
from serve_apps.api.edge.body import (
    ClientGone,
    Clock,
    PacedBody,
    has_body,
    replayed,
    require_size,
    whole_body,
)
from serve_apps.api.edge.intake import Intake, Limits, intake_of
from serve_apps.api.edge.places import Places
from serve_apps.api.edge.refusal import refuse
from serve_apps.api.problems import Problem, problem_of
from serve_apps.application.callers import Caller

KEY_HEADER = "x-api-key"
BEARER = "bearer "


def key_in(headers: Headers) -> str | None:
    """The key that a request presents: `X-API-Key`, or `Authorization: Bearer` as Prometheus sends it."""
    key = headers.get(KEY_HEADER)
    authorization = headers.get("authorization", "")
    if key is None and authorization[: len(BEARER)].lower() == BEARER:
        return authorization[len(BEARER) :].strip()
    return key


class Authenticates(Protocol):
    """Whatever knows the callers' keys. Raises Unauthenticated."""

    def authenticate(self, presented: str | None) -> Caller: ...


@dataclass(frozen=True, slots=True)
class Guard:
    """By what the edge measures a request; `note_error` hears the code and status of each that it refuses."""

    keys: Authenticates
    limits: Limits
    note_error: Callable[[str, int], None] = lambda code, status: None


class Edge:
    """ASGI middleware. `guard` is asked at each request, so that the edge may be built before its keys exist."""

    def __init__(self, app: ASGIApp, guard: Callable[[], Guard], clock: Clock = time.monotonic) -> None:
        self._app = app
        self._guard = guard
        self._clock = clock
        self._places: Places | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._take_in(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _take_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer what is wrong with it."""
        headers, guard = Headers(scope=scope), None
        try:
            guard = self._guard()
            intake = intake_of(scope["method"], scope["path"], guard.limits)
            if intake.needs_key:
                guard.keys.authenticate(key_in(headers))
            require_size(headers, intake.max_bytes)
            with self._open_places(guard.limits).take(intake.lane):
                await self._pass_on(intake, guard.limits, scope, receive, send)
        except ClientGone:
            return
        except (Problem, SerinusError) as error:
            problem = error if isinstance(error, Problem) else problem_of(error)
            if guard is not None:
                guard.note_error(problem.code, problem.status)
            await refuse(problem, receive, send, unread=has_body(headers))

    async def _pass_on(
        self, intake: Intake, limits: Limits, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if not intake.is_streamed:
            body = await whole_body(receive, intake.max_bytes, limits.call_body_s)
            await self._app(scope, replayed(body, receive), send)
            return
        paced = PacedBody(receive, intake.max_bytes, limits, self._clock)
        reply = Reply(send, paced)
        await self._app(scope, paced, reply)
        if paced.fault is not None and not reply.has_begun:
            raise paced.fault

    def _open_places(self, limits: Limits) -> Places:
        if self._places is None:
            self._places = Places(limits.places)
        return self._places


class Reply:
    """A `send` that holds back what the application makes of a body that the edge has broken off."""

    def __init__(self, send: Send, paced: PacedBody) -> None:
        self.has_begun = False
        self._send = send
        self._paced = paced

    async def __call__(self, message: Message) -> None:
        if self._paced.fault is not None and not self.has_begun:
            return
        self.has_begun = True
        await self._send(message)
