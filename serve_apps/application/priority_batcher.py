"""A batcher that starts at once when nothing runs, and collects only while a batch is running.

The next batch is led by the first item in the order in which work is to begin (`core.priority`), so an item waits at
most for the batches that those before it lead, and STAT for no other. The batcher belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from core.priority import QueueOrder

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, order=True)
class Waiting(Generic[Item, Result]):
    """An item in the queue: by order, and among equals by arrival. Items of one `shape` may share a batch, in which
    each takes as much room as its `size`.
    """

    order: QueueOrder
    arrival: int
    shape: Hashable = field(compare=False)
    size: int = field(compare=False)
    item: Item = field(compare=False)
    result: asyncio.Future[Result] = field(compare=False)


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """At most so many `items` in a batch, and of more than one item at most so much `room` taken by all of them."""

    items: int
    room: int

    def __post_init__(self) -> None:
        if self.items < 1 or self.room < 1:
            raise ValueError("a batch has room for one item")


def next_batch(queue: Sequence[Waiting[Item, Result]], limit: BatchLimit) -> list[Waiting[Item, Result]]:
    """Of a sorted queue the first item, and after it in order those that agree with it in shape, while there is room.

    A batch is all STAT or holds none: a STAT study does not wait for the arithmetic of others.
    """
    head, *others = queue
    batch, taken = [head], head.size
    for waiting in others:
        if (waiting.shape, waiting.order.rank) != (head.shape, head.order.rank):
            continue
        taken += waiting.size
        if len(batch) == limit.items or taken > limit.room:
            break
        batch.append(waiting)
    return batch


class PriorityBatcher(Generic[Item, Result]):
    """Gives `run` one batch at a time; `run` returns one result per item, in the same order."""

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        limit: BatchLimit,
        shape_of: Callable[[Item], Hashable],
        size_of: Callable[[Item], int] = lambda _: 1,
    ) -> None:
        self._run = run
        self._limit = limit
        self._shape_of = shape_of
        self._size_of = size_of
        self._queue: list[Waiting[Item, Result]] = []
        self._running: dict[asyncio.Task[None], list[Waiting[Item, Result]]] = {}
        self._overtaken: set[asyncio.Task[None]] = set()
        self._arrivals = itertools.count()
        self._closed: Exception | None = None

    @property
    def waiting(self) -> int:
        """How many items are in no batch yet."""
        return len(self._queue)

    async def submit(self, item: Item, order: QueueOrder) -> Result:
        """The item's result. An item whose caller is cancelled leaves the queue and costs no batch."""
        if self._closed is not None:
            raise self._closed
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        waiting = Waiting(
            order, next(self._arrivals), self._shape_of(item), self._size_of(item), item, result
        )
        bisect.insort(self._queue, waiting)
        self._start_next()
        try:
            return await result
        except asyncio.CancelledError:
            if waiting in self._queue:
                self._queue.remove(waiting)
            raise

    def overtake(self) -> None:
        """Start the next batch beside the one that runs; its items keep waiting for their results."""
        self._overtaken |= self._running.keys()
        self._start_next()

    def close(self, error: Exception) -> None:
        """End every item in the queue, and each one to come, with `error`. A batch that runs ends as `run` does."""
        self._closed = error
        queued, self._queue = self._queue, []
        for waiting in queued:
            if not waiting.result.done():
                waiting.result.set_exception(error)

    def _start_next(self) -> None:
        if not self._queue or self._running.keys() - self._overtaken:
            return
        batch = next_batch(self._queue, self._limit)
        self._queue = [waiting for waiting in self._queue if waiting not in batch]
        # a context of its own: the batch is not part of the request that happened to start it
        task = asyncio.get_running_loop().create_task(self._run_batch(batch), context=Context())
        self._running[task] = batch
        task.add_done_callback(self._end)

    async def _run_batch(self, batch: list[Waiting[Item, Result]]) -> None:
        try:
            results = await self._run([waiting.item for waiting in batch])
            for waiting, result in zip(batch, results, strict=True):
                if not waiting.result.done():
                    waiting.result.set_result(result)
        except Exception as error:  # noqa: BLE001 - whatever it was, whoever waits is told
            for waiting in batch:
                if not waiting.result.done():
                    waiting.result.set_exception(error)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._overtaken.discard(task)
        for waiting in self._running.pop(task):
            waiting.result.cancel()  # only what has no result, because the batch itself was cancelled
        self._start_next()
