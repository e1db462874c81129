"""Cost events are noted at no cost to the study, written in batches, and wait while the ledger is away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from core.errors import InvalidField, LedgerUnavailable
from observability.cost.events import CostEvent
from serve_apps.application.cost_recorder import CostRecorder
from tests.unit.observability.cost.fleets import paid

EVENTS: list[CostEvent] = [paid(second, second + 1, f"e{second}") for second in range(7)]


class Rows:
    """Keeps what is added; fails as often as a test says."""

    def __init__(self) -> None:
        self.batches: list[list[CostEvent]] = []
        self.errors: list[Exception] = []
        self.recorder: CostRecorder | None = None
        self.noted_meanwhile: list[CostEvent] = []

    def add(self, events: Sequence[CostEvent]) -> int:
        if self.errors:
            raise self.errors.pop(0)
        if self.recorder is not None and self.noted_meanwhile:
            self.recorder.note(self.noted_meanwhile)
            self.noted_meanwhile = []
        self.batches.append(list(events))
        return len(events)

    @property
    def kept(self) -> set[str]:
        return {event.event for batch in self.batches for event in batch}


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


async def test_noted_events_are_written_in_batches_in_their_order(
    rows: Rows, threads: ThreadPoolExecutor
) -> None:
    recorder = CostRecorder(rows, threads, batch=3)
    recorder.note(EVENTS)
    assert rows.batches == []
    assert await recorder.flush() == 7
    assert rows.batches == [EVENTS[:3], EVENTS[3:6], EVENTS[6:]]
    assert await recorder.flush() == 0


async def test_while_the_ledger_is_away_events_wait_and_are_written_afterwards(
    rows: Rows, threads: ThreadPoolExecutor
) -> None:
    recorder = CostRecorder(rows, threads, batch=3)
    rows.errors = [LedgerUnavailable("away")]
    recorder.note(EVENTS[:3])
    assert await recorder.flush() == 0
    recorder.note(EVENTS[3:])
    assert await recorder.flush() == 7
    assert (rows.batches[0], recorder.dropped) == (EVENTS[:3], 0)


async def test_of_too_many_that_wait_the_oldest_go_and_are_counted(
    rows: Rows, threads: ThreadPoolExecutor
) -> None:
    recorder = CostRecorder(rows, threads, most_waiting=5)
    recorder.note(EVENTS)
    assert recorder.dropped == 2
    await recorder.flush()
    assert rows.batches == [EVENTS[2:]]


async def test_what_is_noted_while_the_ledger_writes_is_written_too(
    rows: Rows, threads: ThreadPoolExecutor
) -> None:
    recorder = rows.recorder = CostRecorder(rows, threads, most_waiting=4)
    rows.noted_meanwhile = EVENTS[4:]  # pushes out what is being written
    recorder.note(EVENTS[:4])
    await recorder.flush()
    assert rows.kept == {event.event for event in EVENTS}


async def test_what_the_ledger_refuses_stops_nothing_after_it(
    rows: Rows, threads: ThreadPoolExecutor
) -> None:
    recorder = CostRecorder(rows, threads)
    rows.errors = [InvalidField("too long")]
    recorder.note(EVENTS[:2])
    loop = asyncio.create_task(recorder.run_forever(every_s=0.0))
    while recorder.dropped == 0:
        await asyncio.sleep(0)
    recorder.note(EVENTS[2:])
    while not rows.batches:
        await asyncio.sleep(0)
    loop.cancel()
    with suppress(asyncio.CancelledError):
        await loop
    assert (recorder.dropped, rows.batches) == (2, [EVENTS[2:]])
