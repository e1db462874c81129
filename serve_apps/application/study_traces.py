"""What was done with a study, as one value: the record that metrics, drift and cost are made of, and its trace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from core.errors import InputOutOfDistribution, OutsideIntendedUse, SerinusError, StudyError
from imaging.finding import Presence
from ledger import ClaimedShadow, Job
from observability.drift.catalogue import SEXES, decade_of
from observability.drift.signals import word_of
from observability.names import Stage
from observability.record import InferenceRecord, InputFacts, Outcome, StageTiming, StudyTrace
from observability.redaction import Pseudonymiser
from serve_apps.application.analyse_study import Analysis, Progress
from serve_apps.application.decisions import RoutedStudy
from serve_apps.application.failed_work import NO_WORK, FailedWork
from serve_apps.application.messages import FetchedStudy, Inference
from serve_apps.application.predict_with_fallback import VariantFailure

VARIANT_STAGES = (Stage.PREPARE, Stage.WAIT, Stage.FORWARD, Stage.INTERPRET)
REFUSALS = (StudyError, OutsideIntendedUse, InputOutOfDistribution)


class StudyTraces:
    """Names a study by its pseudonym; what it makes holds no pixel and no patient datum."""

    def __init__(self, keys: Pseudonymiser, site: str, replica: str = "") -> None:
        """`replica` names this process, which writes the reports."""
        self._keys = keys
        self._site = site
        self._replica = replica

    def completed(self, job: Job, analysis: Analysis, own: Sequence[StageTiming]) -> StudyTrace:
        """The study's own stages, and a record of each version that was to answer: the last one did."""
        stages = self._at_this_replica(t for t in analysis.stages if t.stage not in VARIANT_STAGES)
        everything = (*own, *analysis.stages)
        answered = self._answered(job, analysis)
        failed = [one for one in analysis.outcome.failures if one.variant != analysis.outcome.variant]
        return StudyTrace(
            study_key=answered.study_key,
            start_ns=_start(everything),
            end_ns=_end(everything),
            outcome=Outcome.OK,
            stages=(*own, *stages),
            records=(*self._failures(job, analysis.routed, failed), answered),
            job_id=job.id,
            site=self._site,
            traceparent=job.traceparent,
        )

    def failed(
        self,
        job: Job,
        error: SerinusError,
        own: Sequence[StageTiming],
        progress: Progress,
        ended_ns: int | None = None,
    ) -> StudyTrace:
        """How far the study came, who failed at it, and when, in nanoseconds since the Unix epoch."""
        everything = (*own, *(progress.study.stages if progress.study is not None else ()))
        routed = progress.routed
        return StudyTrace(
            study_key=self._keys.study(job.study.study_uid),
            start_ns=_start(everything),
            end_ns=max(_end(everything), ended_ns or 0),
            outcome=Outcome.REFUSED if isinstance(error, REFUSALS) else Outcome.FAILED,
            stages=everything,
            records=() if routed is None else self._failures(job, routed, progress.failures),
            error_code=error.code,
            job_id=job.id,
            site=self._site,
            traceparent=job.traceparent,
            failed_at=progress.stage,
        )

    def shadow(
        self,
        claimed: ClaimedShadow,
        took: tuple[int, int],
        study: FetchedStudy | None = None,
        inference: Inference | None = None,
        error_code: str | None = None,
        work: FailedWork = NO_WORK,
    ) -> StudyTrace:
        """A reading that nobody waits for; `took` from when to when, in nanoseconds since the Unix epoch.

        `work` is what a reading that failed kept busy.
        """
        outcome = Outcome.OK if error_code is None else Outcome.FAILED
        record = InferenceRecord(
            study_key=claimed.study_key,
            model=claimed.model,
            version=claimed.version,
            digest=claimed.decision.digest,
            variant=claimed.variant,
            outcome=outcome,
            delivered=False,
            stages=work.stages if inference is None else _of_the_version(inference),
            error_code=error_code,
            device="" if inference is None else inference.device,
            attempt=max(claimed.attempt, 1),
            site=self._site,
            facts=None if study is None else _facts(study),
            role=claimed.role,
            replica="" if inference is None else inference.replica,
        )
        if inference is not None:
            record = _saying(record, inference)
        return StudyTrace(
            study_key=claimed.study_key,
            start_ns=took[0],
            end_ns=max(took),
            outcome=outcome,
            records=(record,),
            error_code=error_code,
            job_id=claimed.job_id,
            site=self._site,
            is_live=False,
        )

    def _answered(self, job: Job, analysis: Analysis) -> InferenceRecord:
        version, inference = analysis.outcome.version, analysis.outcome.inference
        record = InferenceRecord(
            study_key=self._keys.study(job.study.study_uid),
            model=version.model,
            version=version.version,
            digest=version.digest,
            variant=analysis.outcome.variant.name,
            outcome=Outcome.OK,
            delivered=True,
            stages=_of_the_version(inference),
            bytes_in=analysis.study.bytes_received,
            device=inference.device,
            attempt=job.attempt,
            site=self._site,
            facts=_facts(analysis.study),
            replica=inference.replica,
        )
        return _saying(record, inference)

    def _failures(
        self, job: Job, routed: RoutedStudy, failures: Sequence[VariantFailure]
    ) -> tuple[InferenceRecord, ...]:
        """One for each version that was to answer and did not, by its last failure, with the stages of all."""
        last = {failure.variant: failure for failure in failures}
        stages = {
            variant: tuple(timing for one in failures if one.variant == variant for timing in one.work.stages)
            for variant in last
        }
        return tuple(
            InferenceRecord(
                study_key=self._keys.study(job.study.study_uid),
                model=routed.model,
                version=variant.version,
                digest=variant.digest,
                variant=variant.name,
                outcome=Outcome.FAILED,
                delivered=False,
                stages=stages[variant],
                error_code=failure.code,
                device="",
                attempt=max(job.attempt, 1),
                site=self._site,
                role="failed",
            )
            for variant, failure in last.items()
        )

    def _at_this_replica(self, timings: Iterable[StageTiming]) -> tuple[StageTiming, ...]:
        """The stages, with this process where it carried them out."""
        return tuple(
            replace(timing, replica=self._replica) if timing.stage is Stage.REPORT else timing
            for timing in timings
        )


def _saying(record: InferenceRecord, inference: Inference) -> InferenceRecord:
    """The record with what the version said, and what it took of its device."""
    prediction, gpu = inference.prediction, inference.gpu
    return replace(
        record,
        scores=tuple((finding.concept.value, finding.probability) for finding in prediction.findings),
        finding_names=tuple(finding.concept.meaning for finding in prediction.findings),
        priority_score=prediction.priority_score,
        input_check=prediction.input_check.verdict.value,
        input_distance=prediction.input_check.distance,
        batch_size=inference.batch_size,
        gpu_busy=None if gpu is None else gpu.busy,
        gpu_memory=None if gpu is None else gpu.memory,
        present=tuple(one.concept.value for one in prediction.findings if one.presence is Presence.PRESENT),
    )


def _facts(study: FetchedStudy) -> InputFacts:
    """Of a person no more than a decade and a sex; words of a header in a form that holds no sentence."""
    facts, (rows, columns) = study.facts, study.grid
    return InputFacts(
        modality=facts.modality,
        body_part=facts.body_part,
        slices=len(study.context.instance_uids),
        rows=rows,
        columns=columns,
        spacing_mm=study.geometry.spacing_mm,
        slice_thickness_mm=study.geometry.slice_thickness_mm,
        manufacturer=word_of(facts.manufacturer),
        scanner=facts.scanner,
        kernel=word_of(facts.kernel),
        age=decade_of(facts.age_years),
        sex=facts.sex if facts.sex in SEXES else "",
        signals=(*facts.exposure, *study.signals),
    )


def _of_the_version(inference: Inference) -> tuple[StageTiming, ...]:
    return tuple(timing for timing in inference.stages if timing.stage in VARIANT_STAGES)


def _start(timings: Sequence[StageTiming]) -> int:
    return min(timing.start_ns for timing in timings)


def _end(timings: Sequence[StageTiming]) -> int:
    return max(timing.end_ns for timing in timings)
