"""The use case on one page: a study is fetched, routed, read by a version, and reported.

Knows no Ray, no HTTP and no database: what it needs of them comes in as `InferencePort` and `Workplace`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from canary.assignment import Assignment, NoSuchVariant, assign
from canary.fallback import CallerDeadline, FallbackPolicy
from canary.gates import SitePolicy
from canary.input_check import NEW_SITE, InputPolicy
from canary.routing_table import Variant
from canary.same_reading import Turn
from core.clock import now
from core.errors import UnknownVariant
from core.priority import QueueOrder
from core.study import StudyRef
from ledger import SR, FormerReports
from observability.names import Stage
from observability.record import StageTiming
from observability.redaction import Pseudonymiser
from observability.stage_clock import StageClock
from serve_apps.application.decisions import RoutedStudy
from serve_apps.application.messages import FetchedStudy, FetchRequest, Inference
from serve_apps.application.ports import InferencePort
from serve_apps.application.predict_with_fallback import (
    FallbackInference,
    HeldSlot,
    InferenceOutcome,
    InferenceRequest,
    VariantFailure,
)
from serve_apps.application.report import Report, ReportOrder, report_of
from serve_apps.application.result import StudyResult, to_result
from serve_apps.application.routing_facts import routing_facts
from serve_apps.application.routing_snapshot import RoutingSnapshot, eligible_models
from serve_apps.application.same_reading import (
    Pause,
    ReadingRules,
    SameReading,
    TakeTurn,
    nobody_else_reads,
    reading_key,
    turn_at,
)


@dataclass(frozen=True, slots=True)
class StudyOrder:
    """What is to be read: a job without its bookkeeping. `created_at` dates the report, so a retry repeats it.

    `deadline` is when the caller needs the answer, None where he did not say. `token` says of which job the ledger is
    asked. `force` has a study read that would else be refused for what befell its readers.
    """

    study: StudyRef
    queue: QueueOrder
    model: str | None
    outputs: tuple[str, ...]
    created_at: datetime
    tester_variant: str | None = None
    deadline: CallerDeadline | None = None
    token: str = ""
    force: bool = False


@dataclass(frozen=True, slots=True)
class SiteRules:
    """What a site decides about every study. Times in seconds.

    The reader's call may take `fetch_call_s`, longer than the reader's own deadline, which starts behind its queue.
    """

    site: str
    policy: SitePolicy
    keys: Pseudonymiser
    fetch_s: float
    fetch_call_s: float
    forward_s: float
    stable_reserve_s: float
    canary_timeout_s: float
    input_policy: InputPolicy = NEW_SITE


FindFormerReports = Callable[[str, str, datetime], Awaitable[FormerReports]]


async def no_former_reports(study_uid: str, model: str, before: datetime) -> FormerReports:
    """For a workplace that keeps no reports."""
    return FormerReports()


@dataclass(frozen=True, slots=True)
class Workplace:
    """What an analysis works with: the newest snapshot, the other deployments, and an executor for reports.

    `former_reports` finds what a new report supersedes: of a study UID, a model, and before an instant.
    `take_turn` says whether another job has read, or reads now, what a key names.
    """

    snapshot: Callable[[], RoutingSnapshot]
    port: InferencePort
    rules: SiteRules
    cpu: Executor | None = None
    clock: Callable[[], datetime] = now
    former_reports: FindFormerReports = no_former_reports
    take_turn: TakeTurn = nobody_else_reads
    pause: Pause = asyncio.sleep


@dataclass(slots=True)
class Progress:
    """How far an analysis has come, for whoever shows it, and for what is written about one that failed."""

    stage: Stage = Stage.QUEUE
    study: FetchedStudy | None = None
    routed: RoutedStudy | None = None
    failures: list[VariantFailure] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the analysis of a study came to: the caller's result, the DICOM objects, and the times of its stages.

    `champion` is the model's at the moment of the assignment. `reading` names the reading that was made, where it is
    not that of the variant that was drawn.
    """

    result: StudyResult
    study: FetchedStudy
    routed: RoutedStudy
    outcome: InferenceOutcome[Report]
    champion: Variant
    stages: tuple[StageTiming, ...]
    reading: str | None = None

    @property
    def assignment(self) -> Assignment:
        return self.routed.assignment

    @property
    def documents(self) -> Mapping[str, bytes]:
        return self.outcome.report.documents


async def analyse_study(
    order: StudyOrder, place: Workplace, slot: HeldSlot, progress: Progress | None = None
) -> Analysis | SameReading:
    """Read one study with the version that routing picks; raises SerinusError.

    What another job has read by the same version is not read again.
    """
    progress = progress if progress is not None else Progress()
    rules = place.rules
    progress.stage = Stage.FETCH
    eligible = eligible_models(place.snapshot(), order.model)
    request = FetchRequest(order.study, eligible, order.queue, rules.fetch_s, order.force)
    async with slot.at_source():
        study = progress.study = await place.port.fetch(request, rules.fetch_call_s)

    snapshot = place.snapshot()  # what was decided while the study was fetched counts
    assignment = _assign(order, study, snapshot, rules)
    in_force = ReadingRules(snapshot, rules.policy, rules.input_policy)
    key = reading_key(order.study, study, assignment.variant, in_force)
    taken, wanted = await asyncio.gather(
        turn_at(key, order.token, place.take_turn, slot, place.pause),
        _report_order(order, study, place),  # its absence would be no variant's fault
    )
    if taken.turn is Turn.SAME:
        return SameReading(taken.job_id, taken.result, study, taken.is_foreign)
    routed = progress.routed = RoutedStudy(study.model, assignment, snapshot.epoch, place.clock())
    progress.stage = Stage.FORWARD
    clock = StageClock()

    async def accept(inference: Inference) -> Report:
        progress.stage = Stage.REPORT
        with clock.stage(Stage.REPORT):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(place.cpu, report_of, inference.prediction, wanted)

    policy = FallbackPolicy(stable_reserve_s=rules.stable_reserve_s, canary_timeout_s=rules.canary_timeout_s)
    asking: FallbackInference[Report] = FallbackInference(snapshot, place.port, policy, rules.policy)
    progress.failures = asking.failures
    caller_left_s = None if order.deadline is None else order.deadline.left_s(place.clock())
    outcome = await asking.predict(
        InferenceRequest(study, assignment, order.queue, slot, accept, rules.forward_s, caller_left_s)
    )
    stages = (*study.stages, *outcome.inference.stages, *clock.timings)
    champion = snapshot.table(study.model).champion
    is_drawn = outcome.variant == assignment.variant
    made = key if is_drawn else reading_key(order.study, study, outcome.variant, in_force)
    result = _result(order, study, assignment, outcome)
    reading = None if made == key else made
    return Analysis(result, study, routed, outcome, champion, stages, reading)


def _assign(
    order: StudyOrder, study: FetchedStudy, snapshot: RoutingSnapshot, rules: SiteRules
) -> Assignment:
    facts = routing_facts(order.study.study_uid, study.facts, rules.site, rules.keys, order.tester_variant)
    try:
        return assign(facts, snapshot.table(study.model))
    except NoSuchVariant as error:
        raise UnknownVariant(str(error)) from None


async def _report_order(order: StudyOrder, study: FetchedStudy, place: Workplace) -> ReportOrder:
    former = FormerReports()
    if SR in order.outputs:
        former = await place.former_reports(order.study.study_uid, study.model, order.created_at)
    return ReportOrder(order.outputs, order.created_at, study.context, study.geometry, former)


def _result(
    order: StudyOrder, study: FetchedStudy, assignment: Assignment, outcome: InferenceOutcome[Report]
) -> StudyResult:
    return to_result(
        outcome.inference.prediction,
        order.study.study_uid,
        sr_uid=outcome.report.sr_uid,
        routing=routing_of(assignment, outcome, study),
        documents=outcome.report.documents,
    )


def routing_of(assignment: Assignment, outcome: InferenceOutcome[Any], study: FetchedStudy) -> dict[str, Any]:
    """How the study came to its version, as the result shows it; pseudonyms only."""
    return {
        "arm": assignment.arm,
        "variant": outcome.variant.name,
        "version": outcome.variant.version,
        "generation": assignment.generation,
        "bucket": assignment.bucket,
        "weight_bp": assignment.weight_bp,
        "reason": outcome.reason,
        "failed": [
            {"variant": f.variant.name, "version": f.variant.version, "code": f.code, "counts": f.counts}
            for f in outcome.failures
        ],
        "series_refused": sorted(set(study.refused.values())),
    }
