"""Fetch a study, choose its series, decode it: once, for every version that will look at it.

Nothing here depends on a model version: series rules in, volume out.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable

from pydicom.dataset import Dataset

from core.errors import MixedPatients, SourceTimeout, StudyError, UnsupportedSeries
from core.priority import QueuePlace
from imaging.archive import Archive, StudyInstances
from imaging.assemble import declared_bytes, to_volume
from imaging.content_digest import content_digest
from imaging.patient_facts import patient_facts
from imaging.pixel_limits import PixelLimits
from imaging.pixel_statistics import pixel_statistics
from imaging.report_sr import ReportContext
from imaging.series import SeriesChoice, SeriesHeader, choose_series
from imaging.summary import readable_images, summarize_study
from imaging.told_as import told_as
from imaging.volume import Volume
from observability.names import Stage
from observability.stage_clock import StageClock
from serve_apps.application.memory_gate import MemoryGate
from serve_apps.application.messages import EligibleModel, FetchedStudy, FetchRequest, UnreadSeries
from serve_apps.application.priority_gate import Slot
from serve_apps.application.shared_work import SharedWork

T = TypeVar("T")


class Archives(Protocol):
    """The configured sources by id."""

    def of(self, source_id: str) -> Archive: ...

    async def aclose(self) -> None: ...


@runtime_checkable
class ObjectFetching(Protocol):
    """An archive that also fetches single objects by URI."""

    async def fetch_objects(
        self,
        uris: Sequence[str],
        study_uid: str,
        *,
        series_uids: Sequence[str] | None = None,
        modalities: Sequence[str] | None = None,
    ) -> StudyInstances: ...


class StudyFetcher:
    """Fetches at most `reads` studies of each source at a time, and decodes as many in all, STAT first.

    Two calls for one study at once fetch it once.

    No study decodes to more than `limits`, and no more than that is decoded at a time.

    `store` puts a volume where every version can read it, and returns the reference to it.
    """

    def __init__(
        self,
        archives: Archives,
        store: Callable[[Volume], Any],
        reads: int,
        limits: PixelLimits | None = None,
    ) -> None:
        self._archives = archives
        self._limits = limits or PixelLimits()
        self._memory = MemoryGate(self._limits.study_bytes)
        self._store = store
        self._reads: SharedWork[FetchedStudy] = SharedWork(reads)
        self._decoding = ThreadPoolExecutor(reads, "decode")
        self._storing = ThreadPoolExecutor(reads, "store")

    async def fetch(self, request: FetchRequest) -> FetchedStudy:
        """Fetch the study and make its volume.

        Raises SourceError and StudyError; neither text holds a patient datum.
        """
        key = (request.study, request.eligible)
        place = QueuePlace(request.order, request.study.source)
        return await self._reads.run(key, place, partial(self._fetch, request))

    async def aclose(self) -> None:
        """Close the archives and let the threads go."""
        await self._archives.aclose()
        for pool in (self._decoding, self._storing):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _fetch(self, request: FetchRequest, slot: Slot) -> FetchedStudy:
        clock = StageClock()
        async with slot.at_source():
            with clock.stage(Stage.FETCH):
                instances = await self._within_deadline(request)
        with clock.stage(Stage.SELECT):
            chosen, choice = choose_eligible(summarize_study(instances.series), request.eligible)
        series = instances.series[choice.require().series_uid]
        images = readable_images(series)
        async with self._memory.room(request.order, declared_bytes(images)):
            make_volume = partial(
                to_volume,
                series,
                max_gap_ratio=chosen.rule.max_gap_ratio,
                pixel_digests=instances.pixel_digests,
                limits=self._limits,
                notes=instances.notes,
            )
            decode = partial(volume_or_unread, make_volume, chosen.model, images)
            with clock.stage(Stage.DECODE):
                volume = await _in(self._decoding, decode)
                storing = asyncio.get_running_loop().run_in_executor(self._storing, self._store, volume)
                facts, digest = patient_facts(images, volume), content_digest(images, volume)  # meanwhile
                signals = await _in(self._decoding, partial(pixel_statistics, volume))
                reference = await storing
        return FetchedStudy(
            model=chosen.model,
            rule=chosen.rule,
            volume=reference,
            context=ReportContext.of(volume),
            geometry=volume.geometry,
            facts=facts,
            refused=choice.refused,
            bytes_received=instances.bytes_received,
            stages=clock.timings,
            content_digest=digest,
            signals=signals,
            grid=(int(volume.voxels.shape[1]), int(volume.voxels.shape[2])),
        )

    async def _within_deadline(self, request: FetchRequest) -> StudyInstances:
        """Only the source is timed: neither the time in the queue nor that of the decoding is its fault."""
        try:
            async with asyncio.timeout(request.deadline_s):
                return await self._instances(request)
        except TimeoutError:
            raise SourceTimeout(f"the study was not read within {request.deadline_s:.0f} s") from None

    async def _instances(self, request: FetchRequest) -> StudyInstances:
        study = request.study
        archive = self._archives.of(study.source)
        series_uids, modalities = study.series_uids or None, _modalities(request.eligible)
        if study.inputs and isinstance(archive, ObjectFetching):
            return await archive.fetch_objects(
                study.inputs, study.study_uid, series_uids=series_uids, modalities=modalities
            )
        return await archive.fetch_study(study.study_uid, series_uids=series_uids, modalities=modalities)


def volume_or_unread(make_volume: Callable[[], Volume], model: str, images: Sequence[Dataset]) -> Volume:
    """Raises StudyError that tells which series became no volume; but of two patients, of whom no report may tell."""
    try:
        return make_volume()
    except MixedPatients:
        raise
    except StudyError as error:
        with suppress(StudyError), told_as(StudyError("no report can speak of the series")):
            error.unread = UnreadSeries(model, ReportContext.of_instances(images))
        raise


def choose_eligible(
    headers: Sequence[SeriesHeader], eligible: Sequence[EligibleModel]
) -> tuple[EligibleModel, SeriesChoice]:
    """The first model that can read a series; raises UnsupportedSeries that counts the reasons of all."""
    reasons: Counter[str] = Counter()
    for model in eligible:
        choice = choose_series(headers, model.rule)
        if choice.selected is not None:
            return model, choice
        reasons.update(choice.refused.values())
    counts = "; ".join(f"{count} x {reason}" for reason, count in sorted(reasons.items()))
    raise UnsupportedSeries(f"no series can be read: {counts or 'the study holds no image series'}")


def _modalities(eligible: Sequence[EligibleModel]) -> tuple[str, ...]:
    return tuple(sorted({modality for model in eligible for modality in model.rule.modalities}))


async def _in(pool: Executor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, work)
