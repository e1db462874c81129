"""The study reader: fetch and decode once, for every version that will look at the study.

What it does depends on no model version: series rule in, volume out. The volume enters the object store once.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pydicom
import ray
from ray import serve

from core.errors import UnsupportedSeries
from imaging.archive import StudyInstances
from imaging.assemble import to_volume
from imaging.object_store import ObjectArchive
from imaging.report_sr import ReportContext
from imaging.series import SeriesChoice, SeriesHeader, choose_series
from imaging.summary import readable_images, summarize_study
from imaging.volume import Volume
from observability.event_log import configure_logging
from observability.names import Stage
from observability.stage_clock import StageClock
from serve_apps.adapters.archives import Archives
from serve_apps.adapters.cpu_priority import lower_priority
from serve_apps.application.messages import EligibleModel, FetchedStudy, FetchRequest, PatientFacts
from serve_apps.settings import Settings

AGE = re.compile(r"^(\d{3})([DWMY])$")
YEARS_PER_UNIT = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


@serve.deployment(
    max_ongoing_requests=4,
    ray_actor_options={"num_cpus": 0.1},
    health_check_period_s=5,
    max_surge_percent=100,
)
class StudyReader:
    """Shapes: a `FetchRequest` in, a `FetchedStudy` with an ObjectRef to a `Volume` out."""

    def __init__(self, settings: Settings) -> None:
        configure_logging("INFO")
        lower_priority()
        self._archives = Archives(settings)

    async def fetch(self, request: FetchRequest) -> FetchedStudy:
        """Raises SourceError and StudyError; neither text holds a patient datum."""
        clock = StageClock()
        with clock.stage(Stage.FETCH):
            instances = await self._fetch(request)
        with clock.stage(Stage.SELECT):
            candidate, choice = choose_eligible(summarize_study(instances.series), request.eligible)
        datasets = readable_images(instances.series[choice.require().series_uid])
        with clock.stage(Stage.DECODE):
            volume = await asyncio.to_thread(
                to_volume,
                datasets,
                max_gap_ratio=candidate.rule.max_gap_ratio,
                pixel_digests=instances.pixel_digests,
            )
            reference = await asyncio.to_thread(ray.put, volume)
        return FetchedStudy(
            model=candidate.model,
            rule=candidate.rule,
            volume=reference,
            context=ReportContext.of(volume),
            geometry=volume.geometry,
            facts=patient_facts(datasets[0], volume),
            refused=choice.refused,
            bytes_received=instances.bytes_received,
            stages=clock.timings,
        )

    async def _fetch(self, request: FetchRequest) -> StudyInstances:
        archive = self._archives.of(request.study.source)
        wanted = {
            "series_uids": request.study.series_uids or None,
            "modalities": _modalities(request.eligible),
        }
        if request.study.inputs and isinstance(archive, ObjectArchive):
            return await archive.fetch_objects(request.study.inputs, request.study.study_uid, **wanted)
        return await archive.fetch_study(request.study.study_uid, **wanted)


def choose_eligible(
    headers: Sequence[SeriesHeader], eligible_models: Sequence[EligibleModel]
) -> tuple[EligibleModel, SeriesChoice]:
    """The first candidate that can read a series; raises UnsupportedSeries that counts everybody's reasons."""
    reasons: Counter[str] = Counter()
    for candidate in eligible_models:
        choice = choose_series(headers, candidate.rule)
        if choice.selected is not None:
            return candidate, choice
        reasons.update(choice.refused.values())
    told = "; ".join(f"{count} x {reason}" for reason, count in sorted(reasons.items()))
    raise UnsupportedSeries(f"no series can be read: {told or 'the study holds no image series'}")


def patient_facts(dataset: pydicom.Dataset, volume: Volume) -> PatientFacts:
    """What routing and the intended-use check need, from the first slice's header."""
    return PatientFacts(
        patient_id=_text(dataset, "PatientID"),
        accession=_text(dataset, "AccessionNumber"),
        age_years=age_years(_text(dataset, "PatientAge")),
        modality=volume.modality,
        body_part=volume.body_part,
        scanner=f"{_text(dataset, 'Manufacturer')} {_text(dataset, 'ManufacturerModelName')}".strip(),
    )


def age_years(age: str) -> float | None:
    """Years of a DICOM Age String (PS3.5 6.2, VR AS), or None where it is blank or malformed."""
    found = AGE.match(age)
    return int(found[1]) * YEARS_PER_UNIT[found[2]] if found else None


def _text(dataset: pydicom.Dataset, keyword: str) -> str:
    value: Any = dataset.get(keyword, "")
    return str(value or "").strip()


def _modalities(eligible_models: tuple[EligibleModel, ...]) -> tuple[str, ...]:
    return tuple(sorted({modality for each in eligible_models for modality in each.rule.modalities}))
