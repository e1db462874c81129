"""Callers who ask for the same at once share one run of it, and a caller who goes away takes nothing with him."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from core.errors import SourceUnavailable, WorkerLost
from core.priority import Priority, QueuePlace, queue_order
from serve_apps.application.shared_work import SharedWork

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def place(priority: Priority = Priority.ROUTINE) -> QueuePlace:
    return QueuePlace(queue_order(priority, NOW), "pacs")


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Source:
    """Work by name that ends when it is told to."""

    def __init__(self, slots: int = 1) -> None:
        self.begun: list[str] = []
        self.cancelled: list[str] = []
        self._ends: dict[str, asyncio.Future[str]] = {}
        self._shared: SharedWork[str] = SharedWork(slots)

    async def ask(self, name: str, priority: Priority = Priority.ROUTINE) -> asyncio.Task[str]:
        task = asyncio.create_task(self._shared.run(name, place(priority), lambda _: self._work(name)))
        await settle()
        return task

    async def _work(self, name: str) -> str:
        self.begun.append(name)
        self._ends[name] = asyncio.get_running_loop().create_future()
        try:
            return await self._ends[name]
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise

    async def cancel(self, name: str) -> None:
        """As threads do that are shut down under the work."""
        self._ends[name].cancel()
        await settle()

    async def end(self, name: str, error: Exception | None = None) -> None:
        if error is None:
            self._ends[name].set_result(f"{name}!")
        else:
            self._ends[name].set_exception(error)
        await settle()


async def test_two_who_ask_for_the_same_at_once_share_one_run() -> None:
    source = Source(slots=2)
    tasks = [await source.ask("a"), await source.ask("a"), await source.ask("b")]
    await source.end("a")
    await source.end("b")
    assert await asyncio.gather(*tasks) == ["a!", "a!", "b!"]
    assert source.begun == ["a", "b"]


async def test_who_asks_when_it_is_done_has_it_done_anew() -> None:
    source = Source()
    first = await source.ask("a")
    await source.end("a")
    second = await source.ask("a")
    assert source.begun == ["a", "a"]
    await source.end("a")
    assert [await first, await second] == ["a!", "a!"]


async def test_an_error_is_told_to_every_caller_and_not_kept() -> None:
    source = Source()
    tasks = [await source.ask("a"), await source.ask("a")]
    await source.end("a", SourceUnavailable("the source is away"))
    for task in tasks:
        with pytest.raises(SourceUnavailable):
            await task
    again = await source.ask("a")
    await source.end("a")
    assert await again == "a!"


async def test_the_caller_who_began_it_may_go_and_the_others_get_it() -> None:
    source = Source()
    first, second = await source.ask("a"), await source.ask("a")
    first.cancel()
    await settle()
    assert source.cancelled == []
    await source.end("a")
    assert await second == "a!"


async def test_work_is_cancelled_with_its_last_caller_and_frees_its_slot() -> None:
    source = Source()
    tasks = [await source.ask("a"), await source.ask("a")]
    waits = await source.ask("b")
    for task in tasks:
        task.cancel()
    await settle()
    assert source.cancelled == ["a"]
    assert source.begun == ["a", "b"]
    await source.end("b")
    assert await waits == "b!"


async def test_work_that_is_cancelled_where_it_runs_leaves_no_caller_waiting() -> None:
    source = Source()
    first, second = await source.ask("a"), await source.ask("a")
    await source.cancel("a")
    assert first.done()
    assert second.done()
    for caller in (first, second):
        with pytest.raises(WorkerLost):
            await caller
    again = await source.ask("a")
    await source.end("a")
    assert await again == "a!"


async def test_queued_work_that_nobody_wants_any_more_never_begins() -> None:
    source = Source()
    running = await source.ask("a")
    queued = await source.ask("b")
    queued.cancel()
    await settle()
    await source.end("a")
    assert await running == "a!"
    assert source.begun == ["a"]


async def test_stat_is_next() -> None:
    source = Source()
    tasks = [await source.ask("a"), await source.ask("b"), await source.ask("c", Priority.STAT)]
    for name in ("a", "c", "b"):
        await source.end(name)
    assert source.begun == ["a", "c", "b"]
    await asyncio.gather(*tasks)


async def test_a_stat_caller_who_joins_queued_work_brings_it_forward() -> None:
    source = Source()
    tasks = [await source.ask("a"), await source.ask("b"), await source.ask("c")]
    tasks.append(await source.ask("c", Priority.STAT))
    for name in ("a", "c", "b"):
        await source.end(name)
    assert source.begun == ["a", "c", "b"]
    assert await asyncio.gather(*tasks) == ["a!", "b!", "c!", "c!"]
