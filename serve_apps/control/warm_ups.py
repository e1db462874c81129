"""Asks each new application one thing; its answer shows that it has loaded, verified and read its golden input.

The call is sent as soon as the application is deployed and rests with Serve until a replica takes it, so that
nobody has to poll for the moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import ray
from ray import serve

from imaging.errors import SerinusError
from serve_apps.reading.serve_reading import call

DEADLINE_S = 600.0


class WarmUps:
    """One call per application; `answered` is called when one came back."""

    def __init__(self, answered: Callable[[], None]) -> None:
        self._answered = answered
        self._calls: dict[str, asyncio.Task[bool]] = {}

    def has_answered(self, app_name: str) -> bool:
        """Whether the application has answered; asks it if nobody does or the last call failed."""
        task = self._calls.get(app_name)
        if task is not None and task.done() and not task.cancelled() and task.result():
            return True
        if task is None or task.done():
            self._calls[app_name] = asyncio.create_task(self._ask(app_name))
        return False

    def forget(self, app_name: str) -> None:
        """It was stopped or lost its replicas: it must answer anew."""
        task = self._calls.pop(app_name, None)
        if task is not None:
            task.cancel()

    async def _ask(self, app_name: str) -> bool:
        try:
            handle = await asyncio.to_thread(serve.get_deployment_handle, "ModelServer", app_name=app_name)
            await call(handle.warm, deadline_s=DEADLINE_S)
        except (KeyError, SerinusError, ray.exceptions.RayError):
            return False
        self._answered()
        return True
