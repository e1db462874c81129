"""The use case on one page: a study is fetched, read by a version, and reported.

Knows no Ray, no HTTP and no ledger: what it needs of them comes in as `StudyReading` and `OnStage`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from imaging.errors import OutsideIntendedUse
from imaging.finding import Prediction
from imaging.report_sr import to_part10, to_sr
from imaging.segmentation import to_seg
from models.spec import IntendedUse
from observability.names import Stage
from observability.record import StageTiming
from observability.stage_clock import StageClock
from serve_apps.fleet import Fleet, candidates
from serve_apps.messages import Answer, PatientFacts, ReadRequest, ReadStudy, ServedVersion
from serve_apps.result import to_result
from serve_apps.schemas import ResultOut


class StudyReading(Protocol):
    """Reader and model versions, wherever they run. Both raise SerinusError within `deadline_s`."""

    async def read(self, request: ReadRequest, deadline_s: float) -> ReadStudy: ...

    async def answer(self, version: ServedVersion, study: ReadStudy, deadline_s: float) -> Answer: ...


OnStage = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class StudyOrder:
    """What is to be read: a job without its bookkeeping. `created_at` dates the report, so a retry repeats it."""

    study_uid: str
    source: str
    series_uids: tuple[str, ...]
    inputs: tuple[str, ...]
    model: str | None
    outputs: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Deadlines:
    fetch_s: float
    forward_s: float


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a study's reading came to: the caller's result, the DICOM objects, and the times of its stages."""

    result: ResultOut
    documents: Mapping[str, bytes]
    version: ServedVersion
    study: ReadStudy
    answer: Answer
    stages: tuple[StageTiming, ...]


async def analyse_study(
    order: StudyOrder, fleet: Fleet, reading: StudyReading, deadlines: Deadlines, on_stage: OnStage
) -> Analysis:
    """Read one study with the version that routing picks; raises SerinusError."""
    request = ReadRequest(
        source=order.source,
        study_uid=order.study_uid,
        candidates=candidates(fleet, order.model),
        series_uids=order.series_uids,
        inputs=order.inputs,
    )
    await on_stage(Stage.FETCH)
    study = await reading.read(request, deadlines.fetch_s)
    version = fleet.champion(study.model)
    require_intended_use(version.spec.intended_use, study.facts)
    await on_stage(Stage.FORWARD)
    answer = await reading.answer(version, study, deadlines.forward_s)
    await on_stage(Stage.REPORT)
    clock = StageClock()
    with clock.stage(Stage.REPORT):
        documents, sr_uid = await asyncio.to_thread(_documents, order, study, answer.prediction)
    routing = _routing(fleet, version, study)
    result = to_result(answer.prediction, order.study_uid, sr_uid=sr_uid, routing=routing)
    return Analysis(
        result, documents, version, study, answer, (*study.stages, *answer.stages, *clock.timings)
    )


def require_intended_use(use: IntendedUse, facts: PatientFacts) -> None:
    """Raises OutsideIntendedUse that names the limit, not the patient."""
    if use.modalities and facts.modality not in use.modalities:
        raise OutsideIntendedUse(f"the version is meant for {', '.join(use.modalities)}")
    if use.body_parts and facts.body_part and facts.body_part not in use.body_parts:
        raise OutsideIntendedUse(f"the version is meant for {', '.join(use.body_parts)}")
    if facts.age_years is None:
        return
    if use.min_age_years is not None and facts.age_years < use.min_age_years:
        raise OutsideIntendedUse(f"the version is meant for patients of at least {use.min_age_years} years")
    if use.max_age_years is not None and facts.age_years > use.max_age_years:
        raise OutsideIntendedUse(f"the version is meant for patients of at most {use.max_age_years} years")


def _documents(
    order: StudyOrder, study: ReadStudy, prediction: Prediction
) -> tuple[dict[str, bytes], str | None]:
    documents: dict[str, bytes] = {}
    sr_uid = None
    if "sr" in order.outputs:
        report = to_sr(prediction, study.context, created=order.created_at)
        sr_uid = str(report.SOPInstanceUID)
        documents["sr"] = to_part10(report)
    if "seg" in order.outputs and prediction.mask is not None:
        segmentation = to_seg(prediction, study.context, study.geometry, created=order.created_at)
        documents["seg"] = to_part10(segmentation)
    return documents, sr_uid


def _routing(fleet: Fleet, version: ServedVersion, study: ReadStudy) -> dict[str, Any]:
    return {
        "variant": "champion",
        "generation": fleet.generation,
        "reason": f"version {version.version} is the champion of {version.model}",
        "series_refused": sorted(set(study.refused.values())),
    }
