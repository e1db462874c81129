"""The study reader: fetch and decode once, for every version that will look at the study.

What it does depends on no model version: series rule in, volume out. The volume enters the object store once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import pydicom
import ray
from ray import serve

from imaging.archive import StudyInstances
from imaging.assemble import to_volume
from imaging.errors import UnsupportedSeries
from imaging.report_sr import ReportContext
from imaging.series import SeriesChoice, choose_series, header_of
from imaging.volume import Volume
from observability.names import Stage
from observability.redaction import configure_logging
from observability.stage_clock import StageClock
from serve_apps.messages import Candidate, PatientFacts, ReadRequest, ReadStudy
from serve_apps.settings import Settings
from serve_apps.sources import Archives

AGE = re.compile(r"^(\d{3})([DWMY])$")
YEARS_PER_UNIT = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


@serve.deployment(
    max_ongoing_requests=4,
    ray_actor_options={"num_cpus": 0.1},
    health_check_period_s=5,
    max_surge_percent=100,
)
class StudyReader:
    """Shapes: a `ReadRequest` in, a `ReadStudy` with an ObjectRef to a `Volume` out."""

    def __init__(self, settings: Settings) -> None:
        configure_logging("INFO")
        self._archives = Archives(settings)

    async def read(self, request: ReadRequest) -> ReadStudy:
        """Raises SourceError and StudyError; neither text holds a patient datum."""
        clock = StageClock()
        archive = self._archives.of(request.source)
        with clock.stage(Stage.FETCH):
            if request.inputs:
                instances = await archive.fetch_inputs(request.study_uid, request.inputs)
            else:
                instances = await archive.fetch_study(
                    request.study_uid,
                    series_uids=request.series_uids or None,
                    modalities=_modalities(request.candidates),
                )
        with clock.stage(Stage.SELECT):
            candidate, choice = choose_candidate(instances, request.candidates)
        datasets = instances.series[choice.selected]
        with clock.stage(Stage.DECODE):
            volume = await asyncio.to_thread(to_volume, datasets)
            reference = await asyncio.to_thread(ray.put, volume)
        return ReadStudy(
            model=candidate.model,
            volume=reference,
            context=ReportContext.of(volume),
            geometry=volume.geometry,
            facts=patient_facts(datasets[0], volume),
            refused=choice.refused,
            bytes_received=instances.bytes_received,
            stages=clock.timings,
        )


def choose_candidate(
    instances: StudyInstances, candidates: tuple[Candidate, ...]
) -> tuple[Candidate, _Selected]:
    """The first candidate that can read a series; raises UnsupportedSeries that counts the reasons."""
    headers = [header_of(datasets) for datasets in instances.series.values()]
    reasons: dict[str, int] = {}
    for candidate in candidates:
        choice = choose_series(headers, candidate.rule)
        if choice.selected is not None:
            return candidate, _Selected(choice)
        for reason in choice.refused.values():
            reasons[reason] = reasons.get(reason, 0) + 1
    told = "; ".join(f"{count} x {reason}" for reason, count in sorted(reasons.items()))
    raise UnsupportedSeries(f"no series can be read: {told or 'the study holds no image series'}")


class _Selected:
    """A choice that did select a series."""

    def __init__(self, choice: SeriesChoice) -> None:
        assert choice.selected is not None
        self.selected: str = choice.selected
        self.refused: Mapping[str, str] = choice.refused


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


def _modalities(candidates: tuple[Candidate, ...]) -> tuple[str, ...]:
    return tuple(sorted({modality for each in candidates for modality in each.rule.modalities}))
