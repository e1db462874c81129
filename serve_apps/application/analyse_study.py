"""The use case on one page: a study is fetched, routed, read by a version, and reported.

Knows no Ray, no HTTP and no ledger: what it needs of them comes in as `InferencePort` and `OnStage`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from canary.assignment import Assignment, NoSuchVariant, assign
from canary.fallback import FallbackPolicy
from canary.gates import SitePolicy
from canary.routing_table import Variant
from core.errors import UnknownVariant
from core.priority import QueueOrder
from core.study import StudyRef
from imaging.encoded import to_part10
from imaging.finding import Prediction
from imaging.report_sr import to_sr
from imaging.segmentation import to_seg
from observability.names import Stage
from observability.record import StageTiming
from observability.redaction import Pseudonymiser
from observability.stage_clock import StageClock
from serve_apps.api.schemas import ResultOut
from serve_apps.application.messages import FetchedStudy, FetchRequest
from serve_apps.application.ports import InferencePort
from serve_apps.application.predict_with_fallback import FallbackInference, InferenceOutcome
from serve_apps.application.result import to_result
from serve_apps.application.routing_facts import routing_facts
from serve_apps.application.routing_snapshot import RoutingSnapshot, eligible_models

OnStage = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class StudyOrder:
    """What is to be read: a job without its bookkeeping. `created_at` dates the report, so a retry repeats it."""

    study: StudyRef
    queue: QueueOrder
    model: str | None
    outputs: tuple[str, ...]
    created_at: datetime
    tester_variant: str | None = None


@dataclass(frozen=True, slots=True)
class SiteRules:
    """What a site decides about every study. Times in seconds."""

    site: str
    policy: SitePolicy
    keys: Pseudonymiser
    fetch_s: float
    forward_s: float
    stable_reserve_s: float
    canary_timeout_s: float


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a study's reading came to: the caller's result, the DICOM objects, and the times of its stages.

    `champion` is the model's at the moment of the assignment.
    """

    result: ResultOut
    documents: Mapping[str, bytes]
    study: FetchedStudy
    assignment: Assignment
    answered: InferenceOutcome
    champion: Variant
    stages: tuple[StageTiming, ...]


async def analyse_study(
    order: StudyOrder,
    newest_snapshot: Callable[[], RoutingSnapshot],
    port: InferencePort,
    rules: SiteRules,
    on_stage: OnStage,
) -> Analysis:
    """Read one study with the version that routing picks; raises SerinusError."""
    request = FetchRequest(
        order.study, eligible_models(newest_snapshot(), order.model), order.queue, rules.fetch_s
    )
    await on_stage(Stage.FETCH)
    study = await port.fetch(request, rules.fetch_s)

    snapshot = newest_snapshot()  # what was decided while the study was fetched counts
    assignment = _assign(order, study, snapshot, rules)
    await on_stage(Stage.FORWARD)
    policy = FallbackPolicy(stable_reserve_s=rules.stable_reserve_s, canary_timeout_s=rules.canary_timeout_s)
    answering = FallbackInference(snapshot, port, policy, rules.policy)
    answered = await answering.predict(study, assignment, rules.forward_s, order.queue)

    await on_stage(Stage.REPORT)
    clock = StageClock()
    prediction = answered.inference.prediction
    with clock.stage(Stage.REPORT):
        documents, sr_uid = await asyncio.to_thread(_documents, order, study, prediction)
    routing = routing_of(assignment, answered, study)
    result = to_result(prediction, order.study.study_uid, sr_uid=sr_uid, routing=routing)
    stages = (*study.stages, *answered.inference.stages, *clock.timings)
    champion = snapshot.table(study.model).champion
    return Analysis(result, documents, study, assignment, answered, champion, stages)


def _assign(
    order: StudyOrder, study: FetchedStudy, snapshot: RoutingSnapshot, rules: SiteRules
) -> Assignment:
    facts = routing_facts(order.study.study_uid, study.facts, rules.site, rules.keys, order.tester_variant)
    try:
        return assign(facts, snapshot.table(study.model))
    except NoSuchVariant as error:
        raise UnknownVariant(str(error)) from None


def _documents(
    order: StudyOrder, study: FetchedStudy, prediction: Prediction
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


def routing_of(assignment: Assignment, answered: InferenceOutcome, study: FetchedStudy) -> dict[str, Any]:
    """How the study came to its version, as the result shows it; pseudonyms only."""
    return {
        "arm": assignment.arm,
        "variant": answered.variant.name,
        "version": answered.variant.version,
        "generation": assignment.generation,
        "bucket": assignment.bucket,
        "weight_bp": assignment.weight_bp,
        "reason": answered.reason,
        "failed": [
            {"variant": f.variant.name, "version": f.variant.version, "code": f.code}
            for f in answered.failures
        ],
        "series_refused": sorted(set(study.refused.values())),
    }
