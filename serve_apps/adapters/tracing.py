"""From a finished job to its trace: the study as a pseudonym, every stage as a span."""

from __future__ import annotations

import logging
import time
from typing import Protocol

from core.errors import (
    InputOutOfDistribution,
    OutsideIntendedUse,
    RegistryUnavailable,
    SerinusError,
    StudyError,
)
from ledger import Job
from observability.names import Stage
from observability.record import InferenceRecord, InputFacts, Outcome, StageTiming, StudyTrace
from observability.recorder import Recorder
from observability.redaction import Pseudonymiser
from observability.telemetry import TelemetrySettings, build_telemetry, mlflow_telemetry
from serve_apps.application.analyse_study import Analysis, Progress
from serve_apps.application.cost_recording import CostedRecording, NotesCosts
from serve_apps.settings import Settings

logger = logging.getLogger("serinus.tracing")
VARIANT_STAGES = (Stage.PREPARE, Stage.WAIT, Stage.FORWARD, Stage.INTERPRET)
EXPERIMENT = "serinus-studies"
REOPEN_S = 30.0


class Recording(Protocol):
    """Takes a trace and never raises."""

    def record(self, trace: StudyTrace) -> str | None: ...

    async def aclose(self) -> None: ...


class StudyTracer:
    """Records one trace per attempt at a study."""

    def __init__(self, recorder: Recording, pseudonymiser: Pseudonymiser, site: str) -> None:
        self._recorder = recorder
        self._pseudonymiser = pseudonymiser
        self._site = site

    async def aclose(self) -> None:
        """Export what is left and stop."""
        await self._recorder.aclose()

    def completed(self, job: Job, analysis: Analysis, own: tuple[StageTiming, ...]) -> None:
        self._recorder.record(self.trace_of(job, analysis, own))

    def failed(self, job: Job, error: SerinusError, own: tuple[StageTiming, ...], progress: Progress) -> None:
        refused = isinstance(error, StudyError | OutsideIntendedUse | InputOutOfDistribution)
        fetched = progress.study.stages if progress.study is not None else ()
        everything = (*own, *fetched)
        self._recorder.record(
            StudyTrace(
                study_key=self._pseudonymiser.study(job.study.study_uid),
                start_ns=_start(everything),
                end_ns=_end(everything),
                outcome=Outcome.REFUSED if refused else Outcome.FAILED,
                stages=everything,
                error_code=error.code,
                job_id=job.id,
                site=self._site,
            )
        )

    def trace_of(self, job: Job, analysis: Analysis, own: tuple[StageTiming, ...]) -> StudyTrace:
        """The study's own stages under the root, the version's stages with the version's record."""
        stages = tuple(t for t in analysis.stages if t.stage not in VARIANT_STAGES)
        everything = (*own, *analysis.stages)
        key = self._pseudonymiser.study(job.study.study_uid)
        return StudyTrace(
            study_key=key,
            start_ns=_start(everything),
            end_ns=_end(everything),
            outcome=Outcome.OK,
            stages=(*own, *stages),
            records=(self._record(key, job, analysis),),
            job_id=job.id,
            site=self._site,
        )

    def _record(self, key: str, job: Job, analysis: Analysis) -> InferenceRecord:
        facts, version = analysis.study.facts, analysis.outcome.version
        return InferenceRecord(
            study_key=key,
            model=version.model,
            version=version.version,
            digest=version.digest,
            variant=analysis.outcome.variant.name,
            outcome=Outcome.OK,
            delivered=True,
            stages=tuple(t for t in analysis.outcome.inference.stages if t.stage in VARIANT_STAGES),
            bytes_in=analysis.study.bytes_received,
            device=analysis.outcome.inference.device,
            attempt=job.attempt,
            site=self._site,
            facts=InputFacts(
                modality=facts.modality,
                body_part=facts.body_part,
                slices=len(analysis.study.context.instance_uids),
                spacing_mm=analysis.study.geometry.spacing_mm,
                slice_thickness_mm=analysis.study.geometry.slice_thickness_mm,
            ),
            scores=tuple(
                (f.concept.value, f.probability) for f in analysis.outcome.inference.prediction.findings
            ),
            priority_score=analysis.outcome.inference.prediction.priority_score,
            input_check=analysis.outcome.inference.prediction.input_check.verdict.value,
            input_distance=analysis.outcome.inference.prediction.input_check.distance,
            replica=analysis.outcome.inference.replica,
        )


class LazyRecorder:
    """Opens the export at the first trace, and tries again later when MLflow is away; no study waits for it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._recorder: Recorder | None = None
        self._next_try = 0.0

    def record(self, trace: StudyTrace) -> str | None:
        if self._recorder is None and time.monotonic() >= self._next_try:
            self._next_try = time.monotonic() + REOPEN_S
            self._recorder = self._open()
        return self._recorder.record(trace) if self._recorder else None

    async def aclose(self) -> None:
        if self._recorder is not None:
            await self._recorder.aclose()

    def _open(self) -> Recorder | None:
        try:
            return Recorder(build_telemetry(telemetry_settings(self._settings)))
        except RegistryUnavailable:
            logger.warning("tracing.off", extra={"reason": "the MLflow server does not answer"})
            return None


def telemetry_settings(settings: Settings) -> TelemetrySettings:
    """The site's OTLP endpoint, or the registry's own trace store. Raises RegistryUnavailable."""
    if settings.otlp_endpoint is not None:
        return TelemetrySettings(endpoint=settings.otlp_endpoint, sampling_ratio=settings.trace_sampling)
    return mlflow_telemetry(settings.registry_url, EXPERIMENT, settings.trace_sampling)


def build_tracer(settings: Settings, costs: NotesCosts | None = None) -> StudyTracer:
    """Traces to the site's OTLP endpoint, or to the MLflow server; what they tell of costs goes to `costs`."""
    recorder = LazyRecorder(settings)
    recording = recorder if costs is None else CostedRecording(recorder, costs)
    return StudyTracer(recording, pseudonymiser(settings), settings.site)


def pseudonymiser(settings: Settings) -> Pseudonymiser:
    """The pseudonymiser of the site, by the key in its state folder."""
    return Pseudonymiser(bytes.fromhex(settings.paths.pseudonym_key.read_text().strip()))


def _start(timings: tuple[StageTiming, ...]) -> int:
    return min(timing.start_ns for timing in timings)


def _end(timings: tuple[StageTiming, ...]) -> int:
    return max(timing.end_ns for timing in timings)
