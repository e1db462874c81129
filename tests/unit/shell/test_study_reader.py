"""The reader fetches each study once, STAT first, within a deadline that begins with the fetch."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from core.errors import BrokenGeometry, MixedPatients, SourceTimeout, SourceUnavailable, UnsupportedSeries
from core.priority import Priority, queue_order
from core.study import StudyRef
from imaging.archive import StudyInstances
from imaging.pixel_limits import PixelLimits
from imaging.series import SeriesRule
from imaging.volume import Volume
from observability.names import Stage
from serve_apps.application.fetch_study import StudyFetcher
from serve_apps.application.messages import EligibleModel, FetchedStudy, FetchRequest
from serve_apps.deployments.study_reader import StudyReader
from tests.ct import SERIES, STUDY, ct_slice

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CT = EligibleModel("ich-triage", SeriesRule(("CT",)))
MR = EligibleModel("brain-volume", SeriesRule(("MR",)))


def a_request(
    study_uid: str = STUDY,
    priority: Priority = Priority.ROUTINE,
    eligible: tuple[EligibleModel, ...] = (CT,),
    deadline_s: float = 30.0,
    source: str = "pacs",
    **study: Any,
) -> FetchRequest:
    return FetchRequest(
        StudyRef(source, study_uid, **study), eligible, queue_order(priority, NOW), deadline_s
    )


class Pacs:
    """Answers every study with three slices, when it is told to."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.asked: dict[str, Any] = {}
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.error: Exception | None = None
        self.slices = tuple(ct_slice(index) for index in range(3))
        self.closed = False
        self.others: dict[str, Pacs] = {}

    def of(self, source_id: str) -> Pacs:
        return self.others.get(source_id, self)

    async def fetch_study(
        self,
        study_uid: str,
        *,
        series_uids: Sequence[str] | None = None,
        modalities: Sequence[str] | None = None,
    ) -> StudyInstances:
        self.fetched.append(study_uid)
        self.asked = {"series_uids": series_uids, "modalities": modalities}
        await self.is_open.wait()
        if self.error is not None:
            raise self.error
        return StudyInstances({SERIES: self.slices}, 1234)

    async def aclose(self) -> None:
        self.closed = True


class Bucket(Pacs):
    """Also fetches single objects."""

    async def fetch_objects(self, uris: Sequence[str], study_uid: str, **wanted: Any) -> StudyInstances:
        self.asked = {"uris": tuple(uris)}
        return await Pacs.fetch_study(self, study_uid)


class Store:
    """Keeps the volumes that it was given, as Ray's object store does."""

    def __init__(self) -> None:
        self.volumes: list[Volume] = []
        self.threads: set[str] = set()

    def __call__(self, volume: Volume) -> str:
        self.volumes.append(volume)
        self.threads.add(threading.current_thread().name.split("_")[0])
        return f"ref-{len(self.volumes)}"


class Bench:
    def __init__(self, pacs: Pacs | None = None, reads: int = 1) -> None:
        self.pacs, self.store = pacs or Pacs(), Store()
        self.fetcher = StudyFetcher(self.pacs, self.store, reads)

    async def start(self, request: FetchRequest) -> asyncio.Task[FetchedStudy]:
        task = asyncio.create_task(self.fetcher.fetch(request))
        for _ in range(10):
            await asyncio.sleep(0)
        return task


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.fetcher.aclose()


async def test_a_study_becomes_a_volume_in_the_store_and_names_the_rule_that_chose_it(bench: Bench) -> None:
    study = await bench.fetcher.fetch(a_request(eligible=(MR, CT)))
    (volume,) = bench.store.volumes
    assert volume.voxels.shape == (3, 8, 6)
    assert (study.model, study.rule, study.volume) == ("ich-triage", CT.rule, "ref-1")
    assert study.facts.age_years == pytest.approx(55, abs=0.1), "by birth date and day of the study"
    assert study.bytes_received == 1234
    assert [timing.stage for timing in study.stages] == [Stage.FETCH, Stage.SELECT, Stage.DECODE]
    assert bench.pacs.asked == {"series_uids": None, "modalities": ("CT", "MR")}


async def test_the_store_has_threads_of_its_own(bench: Bench) -> None:
    await bench.fetcher.fetch(a_request())
    assert bench.store.threads == {"store"}


async def test_single_objects_are_fetched_from_an_archive_that_can() -> None:
    bench = Bench(Bucket())
    await bench.fetcher.fetch(a_request(inputs=("s3://bucket/a",)))
    assert bench.pacs.fetched == [STUDY]
    await bench.fetcher.aclose()


async def test_two_workers_who_ask_for_a_study_at_once_have_it_fetched_once(bench: Bench) -> None:
    studies = await asyncio.gather(bench.fetcher.fetch(a_request()), bench.fetcher.fetch(a_request()))
    assert bench.pacs.fetched == [STUDY]
    assert len(bench.store.volumes) == 1
    assert studies[0] == studies[1]


async def test_another_rule_or_another_series_is_another_fetch() -> None:
    bench = Bench(reads=4)
    wide = EligibleModel("ich-triage", SeriesRule(("CT",), max_slices=9999))
    requests = (a_request(), a_request(eligible=(wide,)), a_request(series_uids=(SERIES,)))
    await asyncio.gather(*map(bench.fetcher.fetch, requests))
    assert len(bench.pacs.fetched) == 3
    await bench.fetcher.aclose()


async def test_a_reader_reads_so_many_at_a_time_and_stat_is_next() -> None:
    bench = Bench(reads=2)
    bench.pacs.is_open.clear()
    tasks = [await bench.start(a_request(f"1.{number}")) for number in (1, 2, 3)]
    tasks.append(await bench.start(a_request("1.4", Priority.STAT)))
    assert bench.pacs.fetched == ["1.1", "1.2"]
    bench.pacs.is_open.set()
    await asyncio.gather(*tasks)
    assert bench.pacs.fetched[2:] == ["1.4", "1.3"]
    await bench.fetcher.aclose()


async def test_a_source_that_hangs_keeps_no_study_of_another_from_being_read() -> None:
    bench, other = Bench(reads=2), Pacs()
    bench.pacs.others["other"] = other
    bench.pacs.is_open.clear()
    hung = [await bench.start(a_request(f"1.{number}")) for number in range(9)]
    study = await asyncio.wait_for(bench.fetcher.fetch(a_request("2.1", source="other")), 5)
    assert (study.volume, other.fetched) == ("ref-1", ["2.1"])
    assert bench.pacs.fetched == ["1.0", "1.1"], "the source that hangs is not asked for more at a time"
    bench.pacs.is_open.set()
    await asyncio.gather(*hung)
    await bench.fetcher.aclose()


async def test_the_time_that_decoding_takes_is_not_the_source_s_fault() -> None:
    bench, may_store = Bench(), threading.Event()
    bench.fetcher = StudyFetcher(bench.pacs, lambda volume: may_store.wait(5), 1)
    fetching = await bench.start(a_request(deadline_s=0.001))
    await asyncio.sleep(0.01)
    may_store.set()
    assert (await fetching).model == "ich-triage"
    await bench.fetcher.aclose()


async def test_no_more_is_decoded_at_a_time_than_the_limits_let_one_study_have() -> None:
    bench, stores, may_store = Bench(), threading.Event(), threading.Event()
    one_study = PixelLimits(study_bytes=3 * 8 * 6 * 2)

    def store(volume: Volume) -> str:
        bench.store(volume)
        stores.set()
        return str(may_store.wait(30))

    bench.fetcher = StudyFetcher(bench.pacs, store, 2, one_study)
    tasks = [await bench.start(a_request(f"1.{number}")) for number in (1, 2)]
    assert await asyncio.to_thread(stores.wait, 30)
    await asyncio.sleep(0.05)  # the other would be stored, too
    assert (len(bench.pacs.fetched), len(bench.store.volumes)) == (2, 1)
    may_store.set()
    await asyncio.gather(*tasks)
    assert len(bench.store.volumes) == 2
    await bench.fetcher.aclose()


async def test_a_source_that_is_too_slow_is_told_as_such(bench: Bench) -> None:
    bench.pacs.is_open.clear()
    with pytest.raises(SourceTimeout, match="not read within"):
        await bench.fetcher.fetch(a_request(deadline_s=0.01))


async def test_the_time_in_the_queue_is_not_the_sources_fault(bench: Bench) -> None:
    bench.pacs.is_open.clear()
    first = await bench.start(a_request("1.1", deadline_s=0.2))
    second = await bench.start(a_request("1.2", deadline_s=5.0))
    with pytest.raises(SourceTimeout):
        await first
    bench.pacs.is_open.set()
    assert (await second).volume == "ref-1"


async def test_a_worker_who_goes_away_leaves_the_fetch_to_the_other(bench: Bench) -> None:
    bench.pacs.is_open.clear()
    gone, stays = await bench.start(a_request()), await bench.start(a_request())
    gone.cancel()
    bench.pacs.is_open.set()
    assert (await stays).volume == "ref-1"
    assert bench.pacs.fetched == [STUDY]


async def test_an_error_of_the_source_is_told_as_it_is(bench: Bench) -> None:
    bench.pacs.error = SourceUnavailable("the source is away")
    with pytest.raises(SourceUnavailable, match="away"):
        await bench.fetcher.fetch(a_request())


async def test_a_study_that_no_model_can_read_counts_the_reasons(bench: Bench) -> None:
    with pytest.raises(UnsupportedSeries, match="1 x "):
        await bench.fetcher.fetch(a_request(eligible=(MR,)))


async def test_a_series_that_becomes_no_volume_is_told_with_the_error(bench: Bench) -> None:
    """For the report of the failure; it outlives the way from the reader's process to the worker's."""
    bench.pacs.slices = tuple(ct_slice(index) for index in (0, 1, 5))
    with pytest.raises(BrokenGeometry) as raised:
        await bench.fetcher.fetch(a_request())
    unread = pickle.loads(pickle.dumps(raised.value)).unread
    assert (unread.model, unread.context.series_uid) == ("ich-triage", SERIES)
    assert len(unread.context.instance_uids) == 3


async def test_a_series_of_two_patients_is_told_of_nowhere(bench: Bench) -> None:
    bench.pacs.slices[1].PatientID = "somebody else"
    with pytest.raises(MixedPatients) as raised:
        await bench.fetcher.fetch(a_request())
    assert raised.value.unread is None


async def test_a_shutdown_closes_the_archives() -> None:
    bench = Bench()
    await bench.fetcher.aclose()
    assert bench.pacs.closed


def test_serve_leaves_the_order_to_the_reader() -> None:
    deployment: Any = StudyReader
    assert deployment.max_ongoing_requests >= 100
