"""Executor, lease keeper and event loop as acting classes need them in a unit test: at once, and without threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class Here(Executor):
    """Runs what it is given at once, in the caller's thread."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(call(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as every executor does
            future.set_exception(error)
        return future


class Keeper:
    """The leases that are renewed now; a test says which one was lost."""

    def __init__(self) -> None:
        self.kept: dict[str, Callable[[], object]] = {}

    def keep(self, token: str, lost: Callable[[], object]) -> None:
        self.kept[token] = lost

    def drop(self, token: str) -> None:
        self.kept.pop(token, None)


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(50):
        await asyncio.sleep(0)
