"""Processes that read one study each: as many at a time as there are, STAT first, and replaced when they end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from core.errors import Overloaded, ReplicaDied, SourceUnavailable, WorkerLost
from core.priority import Priority, queue_order
from core.study import StudyRef
from imaging.volume import Volume
from serve_apps.adapters.apart_readers import ApartReaders
from serve_apps.application.messages import FetchedStudy, FetchRequest
from tests.unit.shell.worker_fakes import a_study

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
READ = replace(a_study(), volume="the volume itself")


def a_request(study_uid: str = "1.1", priority: Priority = Priority.ROUTINE) -> FetchRequest:
    return FetchRequest(StudyRef("pacs", study_uid), (), queue_order(priority, NOON), 1.0)


class Process:
    """Reads when it is let; ends by itself under a study whose UID begins with 9."""

    def __init__(self, may_read: threading.Event) -> None:
        self.may_read = may_read
        self.has_ended = threading.Event()
        self.read_uids: list[str] = []
        self.error: Exception | None = None

    def read(self, request: FetchRequest) -> FetchedStudy:
        self.read_uids.append(request.study.study_uid)
        if request.study.study_uid.startswith("9"):
            raise ReplicaDied("ended with -9")
        while not self.may_read.wait(0.005):
            if self.has_ended.is_set():
                raise ReplicaDied("ended with -9")
        if self.error is not None:
            raise self.error
        return READ

    def end(self) -> None:
        self.has_ended.set()


class Bench:
    def __init__(self, processes: int = 1) -> None:
        self.started: list[Process] = []
        self.fails_to_start = 0
        self.may_read = threading.Event()
        self.may_read.set()
        self.readers = ApartReaders(self.start, self.store, processes)

    def start(self) -> Process:
        if self.fails_to_start:
            self.fails_to_start -= 1
            raise ReplicaDied("ended with 1")
        self.started.append(Process(self.may_read))
        return self.started[-1]

    def store(self, volume: Volume) -> str:
        return f"reference to {volume}"

    @property
    def read_uids(self) -> list[str]:
        return [uid for process in self.started for uid in process.read_uids]

    async def until(self, number: int) -> None:
        while len(self.read_uids) < number:
            await asyncio.sleep(0.001)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    made.readers.close()


async def test_there_is_no_process_until_one_is_needed_and_then_it_is_kept(bench: Bench) -> None:
    assert bench.started == []
    for _ in range(2):
        study = await bench.readers.fetch(a_request(), 60)
        assert study.volume == "reference to the volume itself"
    assert len(bench.started) == 1


async def test_a_study_that_ends_its_process_is_told_and_the_next_one_has_another(bench: Bench) -> None:
    with pytest.raises(ReplicaDied):
        await bench.readers.fetch(a_request("9.1"), 60)
    assert (await bench.readers.fetch(a_request("1.1"), 60)).volume
    assert [process.read_uids for process in bench.started] == [["9.1"], ["1.1"]]


async def test_an_error_of_the_study_ends_no_process(bench: Bench) -> None:
    await bench.readers.fetch(a_request(), 60)
    bench.started[0].error = SourceUnavailable("away")
    with pytest.raises(SourceUnavailable):
        await bench.readers.fetch(a_request(), 60)
    bench.started[0].error = None
    assert (await bench.readers.fetch(a_request(), 60)).volume
    assert len(bench.started) == 1


async def test_each_process_reads_one_study_at_a_time_and_stat_is_next(bench: Bench) -> None:
    bench.may_read.clear()
    tasks = [asyncio.create_task(bench.readers.fetch(a_request("1.1"), 60))]
    await bench.until(1)
    for study_uid, priority in (("1.2", Priority.ROUTINE), ("1.3", Priority.STAT)):
        tasks.append(asyncio.create_task(bench.readers.fetch(a_request(study_uid, priority), 60)))
        await asyncio.sleep(0)
    bench.may_read.set()
    await asyncio.gather(*tasks)
    assert bench.read_uids == ["1.1", "1.3", "1.2"]


async def test_a_study_that_hangs_stands_beside_another_and_ends_with_its_deadline() -> None:
    bench = Bench(processes=2)
    bench.may_read.clear()
    hung = asyncio.create_task(bench.readers.fetch(a_request("1.1"), 0.2))
    await bench.until(1)
    beside = asyncio.create_task(bench.readers.fetch(a_request("1.2"), 60))
    await bench.until(2)
    with pytest.raises(Overloaded):
        await hung
    bench.may_read.set()
    assert (await beside).volume
    (ended,) = [process for process in bench.started if process.has_ended.wait(0.05)]
    assert ended.read_uids == ["1.1"]
    bench.readers.close()


async def test_a_process_that_cannot_start_is_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_apps.adapters.apart_readers.START_AGAIN_S", 0.0)
    bench.fails_to_start = 3
    assert (await bench.readers.fetch(a_request(), 60)).volume


async def test_a_worker_that_ends_blames_no_study(bench: Bench) -> None:
    bench.may_read.clear()
    reading = asyncio.create_task(bench.readers.fetch(a_request(), 60))
    await bench.until(1)
    bench.readers.close()
    with pytest.raises(WorkerLost) as raised:
        await reading
    assert not isinstance(raised.value, ReplicaDied)
