"""Between the wire and the domain: what a submission asks for, and how a job and its result are told."""

from __future__ import annotations

from core.errors import DocumentPurged, JobCanceled, NoSuchDocument
from core.study import StudyRef
from ledger import Job, JobRequest, JobState, Priority
from serve_apps.api.problems import Problem
from serve_apps.api.schemas import InferCall, JobOut, JobSubmission, ResultOut
from serve_apps.application.jobs import JobResult, ObjectArrival


def request_of(
    submission: JobSubmission, tester_variant: str | None, traceparent: str | None = None
) -> JobRequest:
    return JobRequest(
        study=StudyRef(submission.source, submission.study_uid, submission.series_uids),
        model=submission.model or "",
        priority=Priority(submission.priority.value),
        outputs=tuple(output.value for output in submission.outputs),
        callback=submission.callback,
        context=submission.context,
        tester_variant=tester_variant,
        force=submission.force,
        deadline_s=submission.deadline_s,
        traceparent=traceparent,
    )


def ending_problem(job: Job) -> Problem:
    """Why a job that failed or was cancelled has no result. It has ended, so asking again changes nothing."""
    if job.state is JobState.CANCELED:
        return Problem(JobCanceled.code, "the job was cancelled", members={"job": job.id})
    return last_error(job)


def last_error(job: Job) -> Problem:
    """How the job failed last, whether it ended so or is tried again."""
    code, detail = job.error_code or "internal-error", job.error_detail or "the job failed"
    return Problem(code, detail, members={"job": job.id})


def no_document_problem(job: Job, error: NoSuchDocument | DocumentPurged) -> Problem:
    """A document that will not be there any more; of a job that failed, with the error that it failed with."""
    failed = {"error": last_error(job).body()} if job.state is JobState.FAILED else {}
    return Problem(error.code, error.detail, members={"job": job.id, **failed})


def object_arrival(call: InferCall) -> ObjectArrival:
    return ObjectArrival(call.study_uid, call.modality, call.s3_uri, call.inference_type)


def job_out(job: Job) -> JobOut:
    base = f"/v1/jobs/{job.id}"
    return JobOut(
        id=job.id,
        tenant=job.tenant,
        state=job.state.value,
        stage=job.stage,
        study_uid=job.study.study_uid,
        source=job.study.source,
        model=job.model or None,
        priority=job.priority.value,
        priority_rule=job.priority_rule,
        context=dict(job.context),
        deadline=job.deadline,
        attempt=job.attempt,
        created_at=job.created_at,
        finished_at=job.finished_at,
        stages_s=dict(job.stages_s),
        error=None if job.error_code is None else last_error(job).body(),
        undelivered=tuple(job.undelivered),
        same_as=job.same_as_told,
        links={"self": base, "results": f"{base}/results"},
    )


def result_out(result: JobResult) -> ResultOut:
    """The result that the ledger keeps, with what was found since it was made."""
    escalations = [dict(escalation) for escalation in result.escalations]
    since = {"context": dict(result.context), "escalations": escalations}
    return ResultOut.model_validate({**result.stored, **since})
