"""A study that ends its reader is read once more, by itself, and then is parked; its neighbours lose a moment."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import LedgerUnavailable, PoisonStudy, ReplicaDied, SourceUnavailable, WorkerLost
from core.priority import Priority, queue_order
from core.study import StudyRef
from serve_apps.application.fetch_with_fallback import FallbackFetcher, ParkedStudies
from serve_apps.application.messages import FetchedStudy, FetchRequest
from tests.unit.shell.worker_fakes import a_study

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
STUDY = a_study()
DIED = ReplicaDied("the process ended")


def a_request(number: int = 1, *, force: bool = False) -> FetchRequest:
    study = StudyRef("pacs", f"1.{number}")
    return FetchRequest(study, (), queue_order(Priority.ROUTINE, NOON), 1.0, force)


class ScriptedReader:
    """Reads a study, or raises what comes next. It is back when `answers` is set."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.read: list[str] = []
        self.is_back = asyncio.Event()
        self.looked_for = 0
        self.cannot_say: list[Exception] = []

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy:
        assert deadline_s > 0
        self.read.append(request.study.study_uid)
        if self.errors:
            raise self.errors.pop(0)
        return STUDY

    async def answer(self) -> None:
        self.looked_for += 1
        if self.cannot_say:
            raise self.cannot_say.pop(0)
        await self.is_back.wait()


class Bench:
    def __init__(self, *errors: Exception, apart: tuple[Exception, ...] = ()) -> None:
        self.shared, self.apart = ScriptedReader(*errors), ScriptedReader(*apart)
        self.parked = ParkedStudies()
        self.fetcher = FallbackFetcher(self.shared, self.apart, self.parked)

    async def fetch(self, number: int = 1, *, force: bool = False) -> FetchedStudy:
        return await self.fetcher.fetch(a_request(number, force=force), 60)

    @property
    def read(self) -> tuple[int, int]:
        """How often the shared reader was asked, and a process for the study alone."""
        return len(self.shared.read), len(self.apart.read)


async def test_a_study_is_read_by_the_shared_reader() -> None:
    bench = Bench()
    assert await bench.fetch() is STUDY
    assert bench.read == (1, 0)


async def test_a_study_under_which_the_reader_ended_is_read_apart_at_once() -> None:
    bench = Bench(DIED)
    assert await bench.fetch() is STUDY
    assert bench.read == (1, 1)
    bench.fetcher.close()


async def test_a_study_that_ends_a_process_of_its_own_too_is_parked() -> None:
    bench = Bench(DIED, apart=(DIED,))
    with pytest.raises(PoisonStudy, match="2 processes"):
        await bench.fetch()
    assert bench.read == (1, 1)
    bench.fetcher.close()


async def test_a_parked_study_ends_no_process_when_it_is_sent_again() -> None:
    bench = Bench(DIED, apart=(DIED,))
    for _ in range(3):
        with pytest.raises(PoisonStudy):
            await bench.fetch()
    assert bench.read == (1, 1)
    bench.fetcher.close()


async def test_a_parked_study_that_is_forced_is_read_once_by_a_process_of_its_own() -> None:
    bench = Bench(DIED, apart=(DIED, DIED))
    for force in (False, True):
        with pytest.raises(PoisonStudy):
            await bench.fetch(force=force)
    assert await bench.fetch(force=True) is STUDY
    assert bench.read == (1, 3)
    bench.shared.is_back.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await bench.fetch() is STUDY, "it is innocent now"
    assert bench.read == (2, 3)


async def test_until_the_reader_is_back_each_study_is_read_apart() -> None:
    bench = Bench(DIED)
    await bench.fetch(1)
    await bench.fetch(2)
    assert (bench.shared.read, bench.apart.read) == (["1.1"], ["1.1", "1.2"])
    bench.shared.is_back.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await bench.fetch(3)
    assert bench.shared.read == ["1.1", "1.3"]
    assert bench.shared.looked_for == 1


async def test_a_study_whose_first_process_was_its_own_has_a_second_one_too() -> None:
    bench = Bench(DIED, apart=(SourceUnavailable("away"), DIED))
    with pytest.raises(SourceUnavailable):
        await bench.fetch(1)
    assert await bench.fetch(2) is STUDY
    assert bench.apart.read == ["1.1", "1.2", "1.2"]
    bench.fetcher.close()


@pytest.mark.parametrize(
    "error", [WorkerLost("drained"), SourceUnavailable("away"), LedgerUnavailable("away")]
)
async def test_a_reader_that_did_not_end_is_not_replaced(error: Exception) -> None:
    bench = Bench(error)
    with pytest.raises(type(error)):
        await bench.fetch()
    assert bench.read == (1, 0)
    assert await bench.fetch() is STUDY
    assert bench.read == (2, 0)


async def test_the_reader_is_looked_for_again_when_nobody_can_say_whether_it_is_back() -> None:
    bench = Bench(DIED)
    bench.shared.cannot_say = [WorkerLost("the replica was lost")]
    bench.shared.is_back.set()
    await bench.fetch(1)
    returning = bench.fetcher._return
    assert returning is not None
    await asyncio.wait_for(returning, 10)
    assert bench.shared.looked_for == 2


def test_only_the_newest_parked_studies_are_kept() -> None:
    parked = ParkedStudies((StudyRef("pacs", "1.0"),), kept=2)
    for number in (1, 2):
        parked.add(StudyRef("pacs", f"1.{number}"))
    assert [StudyRef("pacs", f"1.{number}") in parked for number in (0, 1, 2)] == [False, True, True]
    parked.discard(StudyRef("pacs", "1.1"))
    assert StudyRef("pacs", "1.1") not in parked


@given(poison=st.lists(st.booleans(), min_size=1, max_size=10), kills=st.sets(st.integers(0, 9)))
def test_the_poison_is_parked_and_nobody_else(poison: list[bool], kills: set[int]) -> None:
    """All are read at once by one process, which ends with the first poison, or is killed under some."""
    outcomes, ended = asyncio.run(asyncio.wait_for(read_all(poison, kills), 10))
    assert outcomes == [PoisonStudy if ends else FetchedStudy for ends in poison]
    assert all(ended[number] == 1 for number, ends in enumerate(poison) if ends), "once by itself"


async def read_all(poison: list[bool], kills: set[int]) -> tuple[list[type], Counter[int]]:
    ended_apart: Counter[int] = Counter()
    all_are_in = asyncio.Event()
    inside = list[str]()

    class Together(ScriptedReader):
        async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy:
            inside.append(request.study.study_uid)
            if len(inside) == len(poison):
                all_are_in.set()
            await all_are_in.wait()
            if any(poison) or number_of(request) in kills:
                raise DIED
            return STUDY

    class Apart(ScriptedReader):
        async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy:
            if poison[number_of(request)]:
                ended_apart[number_of(request)] += 1
                raise DIED
            return STUDY

    fetcher = FallbackFetcher(Together(), Apart(), ParkedStudies())
    outcomes = [outcome_of(fetcher.fetch, number) for number in range(len(poison))]
    kinds = list(await asyncio.gather(*outcomes))
    fetcher.close()
    return kinds, ended_apart


def number_of(request: FetchRequest) -> int:
    return int(request.study.study_uid.partition(".")[2])


async def outcome_of(
    fetch: Callable[[FetchRequest, float], Awaitable[FetchedStudy]], number: int
) -> type[object]:
    try:
        return type(await fetch(a_request(number), 60))
    except PoisonStudy as error:
        return type(error)
