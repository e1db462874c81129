"""Work in slots and in order, done once for all who ask for the same at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.errors import WorkerLost
from core.priority import QueuePlace
from serve_apps.application.priority_gate import PriorityGate, Slot

Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _Shared(Generic[Result]):
    work: Callable[[Slot], Awaitable[Result]]
    place: QueuePlace
    result: asyncio.Future[Result]
    task: asyncio.Task[None] | None = None
    callers: int = 0
    has_begun: bool = False


class SharedWork(Generic[Result]):
    """Runs at most `slots` pieces of work at a time. It belongs to one event loop.

    A caller who asks for work that is queued or running joins it. Work goes on as long as one of its callers waits,
    and is cancelled with the last of them.
    """

    def __init__(self, slots: int) -> None:
        self._gate = PriorityGate(slots)
        self._shared: dict[Hashable, _Shared[Result]] = {}

    async def run(
        self, key: Hashable, place: QueuePlace, work: Callable[[Slot], Awaitable[Result]]
    ) -> Result:
        """The result of `work`, or of the same `key`'s work that another caller began. Raises what it raises.

        The work is given its slot, so that others may use it while the work waits for its source.
        """
        shared = self._shared.get(key)
        if shared is None:
            shared = _Shared(work, place, asyncio.get_running_loop().create_future())
            self._shared[key] = shared
            self._queue(key, shared)
        elif place.order < shared.place.order and not shared.has_begun:
            shared.place = place
            self._queue(key, shared)
        shared.callers += 1
        try:
            return await asyncio.shield(shared.result)
        finally:
            shared.callers -= 1
            if shared.callers == 0:
                self._abandon(key, shared)

    def _queue(self, key: Hashable, shared: _Shared[Result]) -> None:
        """Take a place in the queue; a former place, worse than this one, is left."""
        if shared.task is not None:
            shared.task.cancel()
        # a context of its own: the work is not part of the request that happened to ask first
        shared.task = asyncio.get_running_loop().create_task(self._do(key, shared), context=Context())

    def _abandon(self, key: Hashable, shared: _Shared[Result]) -> None:
        if not shared.result.done():
            self._forget(key, shared)
            shared.result.cancel()
            if shared.task is not None:
                shared.task.cancel()

    async def _do(self, key: Hashable, shared: _Shared[Result]) -> None:
        async with self._gate.slot(shared.place.order, shared.place.source) as slot:
            shared.has_begun = True
            try:
                result = await shared.work(slot)
            except asyncio.CancelledError:
                self._lose(key, shared)
                raise
            except Exception as error:  # noqa: BLE001 - every caller is told
                self._forget(key, shared)
                if not shared.result.done():
                    shared.result.set_exception(error)
                return
        self._forget(key, shared)  # who asks from now on wants it done anew
        if not shared.result.done():
            shared.result.set_result(result)

    def _lose(self, key: Hashable, shared: _Shared[Result]) -> None:
        """The work was cancelled under its callers, as by threads that are shut down: none waits for ever."""
        self._forget(key, shared)
        if not shared.result.done():
            shared.result.set_exception(WorkerLost("the work was cancelled where it ran"))

    def _forget(self, key: Hashable, shared: _Shared[Result]) -> None:
        if self._shared.get(key) is shared:
            del self._shared[key]
