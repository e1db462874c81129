"""Asks each new application one thing; its answer shows that it has loaded, verified and read its golden input.

The call is sent as soon as the application is deployed and rests with Serve until a replica takes it, so that
nobody has to poll for the moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import ray
from ray import serve

from core.errors import SerinusError
from serve_apps.adapters.serve_calls import call

DEADLINE_S = 600.0
Ask = Callable[[str], Awaitable[bool]]


class ReadinessProbes:
    """One call per application; `answered` is called when one came back. `ask` says whether there was an answer."""

    def __init__(self, answered: Callable[[], None], ask: Ask | None = None) -> None:
        self._answered = answered
        self._ask = ask or ask_replica
        self._calls: dict[str, asyncio.Task[bool]] = {}

    def is_ready(self, app_name: str) -> bool:
        """Whether the application has answered; asks it if nobody does or the last call failed."""
        task = self._calls.get(app_name)
        if task is not None and task.done() and not task.cancelled() and task.result():
            return True
        if task is None or task.done():
            self._calls[app_name] = asyncio.create_task(self._call(app_name))
        return False

    def mark_unready(self, app_name: str) -> None:
        """Its replicas are gone: an answer of before counts no more. A call that still waits is for the next ones."""
        task = self._calls.get(app_name)
        if task is not None and task.done():
            self.forget(app_name)

    def forget(self, app_name: str) -> None:
        """It was deleted."""
        task = self._calls.pop(app_name, None)
        if task is not None:
            task.cancel()

    async def _call(self, app_name: str) -> bool:
        came = await self._ask(app_name)
        if came:
            self._answered()
        return came


async def ask_replica(app_name: str) -> bool:
    """Wait for one of the application's replicas to answer; false when that will not come."""
    try:
        handle = await asyncio.to_thread(serve.get_deployment_handle, "ModelServer", app_name=app_name)
        await call(handle.warm, deadline_s=DEADLINE_S)
    except (KeyError, SerinusError, ray.exceptions.RayError):
        return False
    return True
