"""Jobs by HTTP: submit, follow, cancel, and fetch the result.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import JSONResponse

from core.errors import DocumentPurged, NoSuchDocument
from ledger import FINISHED, HAS_RESULT, Job, JobState
from serve_apps.api.dependencies import JobId, Reader, Services, Site, Submitter
from serve_apps.api.job_mapping import (
    ending_problem,
    job_out,
    no_document_problem,
    object_arrival,
    request_of,
    result_out,
)
from serve_apps.api.prefer import RESPOND_ASYNC, preferences, preferred_wait
from serve_apps.api.problems import JOB_STATUSES, Problem, problems
from serve_apps.api.schemas import (
    NAME_PATTERN,
    VARIANT_PATTERN,
    InferCall,
    IsoTime,
    JobOut,
    JobPage,
    JobSubmission,
    ResultOut,
    Uid,
)
from serve_apps.api.strict_json import StrictRoute
from serve_apps.application.jobs import JobQuery, JobResult, JobService

MAX_WAIT_S = 300.0
router = APIRouter(prefix="/v1", tags=["jobs"], responses=problems(), route_class=StrictRoute)

DICOM = {"application/dicom": {"schema": {"type": "string", "format": "binary"}, "example": "a Part 10 file"}}


ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"model": JobOut, "description": "the job runs; see Location"}
}


@router.post(
    "/jobs",
    status_code=202,
    response_model=JobOut,
    responses={200: {"model": ResultOut, "description": "the result, in time"}, **problems(*JOB_STATUSES)},
)
async def submit_job(
    services: Site,
    caller: Submitter,
    submission: JobSubmission,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
    prefer: Annotated[list[str] | None, Header(description="RFC 7240", examples=[["wait=30"]])] = None,
    x_serinus_variant: Annotated[
        str | None,
        Header(
            pattern=VARIANT_PATTERN, max_length=255, description="for testers: the variant that is to read"
        ),
    ] = None,
    traceparent: Annotated[
        str | None, Header(description="W3C Trace Context; honoured of callers whom the site trusts")
    ] = None,
) -> Response:
    """Accept a study for reading. `Prefer: wait=N` answers with the result when it is ready in N seconds.

    `X-Serinus-Variant` needs a key with the scope `variants:choose`.
    """
    wanted = preferences(prefer or ())
    request = request_of(submission, x_serinus_variant, traceparent)
    wait_s = preferred_wait(wanted, MAX_WAIT_S)
    submitted = await services.jobs.submit(request, caller, idempotency_key, wait_s)
    headers = {"Idempotent-Replayed": "true"} if submitted.replayed else {}
    if wait_s is None:
        applied = {"Preference-Applied": RESPOND_ASYNC} if RESPOND_ASYNC in wanted else {}
        return accepted(submitted.job, headers | applied)
    headers["Preference-Applied"] = f"wait={wait_s:g}"
    outcome = await services.jobs.wait_for_result(submitted.job, wait_s)
    if isinstance(outcome, JobResult):
        services.results.given(submitted.job, outcome.model)
        return result_answer(outcome, headers | {"X-Serinus-Job": submitted.job.id})
    return await result_or_accepted(services, outcome, headers)


@router.get("/jobs")
async def list_jobs(
    services: Site,
    caller: Reader,
    study_uid: Uid | None = None,
    state: JobState | None = None,
    model: Annotated[str | None, Query(pattern=NAME_PATTERN)] = None,
    since: IsoTime | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,17}\.[0-9a-f]{32}$")] = None,
    tenant: Annotated[
        str | None, Query(pattern=NAME_PATTERN, description="whose; another's needs the scope `admin`")
    ] = None,
) -> JobPage:
    """The tenant's jobs, newest first; an orchestrator reconciles with this after its own restart.

    An administrator sees everybody's.
    """
    query = JobQuery(study_uid, state, model, since, limit, cursor, tenant)
    jobs, after = await services.jobs.list(query, caller)
    return JobPage(jobs=tuple(job_out(job) for job in jobs), next_cursor=after)


@router.get("/jobs/{job_id}")
async def get_job(
    services: Site, caller: Reader, job_id: JobId, wait: Annotated[float, Query(ge=0, le=MAX_WAIT_S)] = 0.0
) -> JobOut:
    """How the job stands; `wait=N` answers when it has ended, after N seconds at the latest."""
    return job_out(await services.jobs.wait(job_id, wait, caller))


@router.delete("/jobs/{job_id}", status_code=202, responses=problems(409))
async def cancel_job(services: Site, caller: Submitter, job_id: JobId) -> JobOut:
    """Cancel a job that has not been read yet; any key of the tenant with the scope may."""
    return job_out(await services.jobs.cancel(job_id, caller))


@router.get(
    "/jobs/{job_id}/results",
    response_model=ResultOut,
    responses={200: {"content": DICOM}, **problems(406, *JOB_STATUSES)},
)
async def get_results(
    services: Site,
    caller: Reader,
    job_id: JobId,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
    document: Annotated[str, Query(max_length=16, description="`sr`, `seg` or `failure-sr`")] = "sr",
) -> Response:
    """The result as JSON, or by `Accept: application/dicom` the DICOM SR (`?document=seg` the segmentation).

    409 with `Retry-After` while the job has not ended. A job that failed answers its own error, a cancelled one 410;
    a document that will never exist is 404 `no-such-document` at once, with the job's error in `error`.
    """
    is_dicom = wants_dicom(accept)
    job = await services.jobs.get(job_id, caller)
    if is_dicom:
        answer = await dicom_answer(services.jobs, job, document)
    else:
        require_no_bad_end(job)
        answer = result_answer(await services.jobs.result(job), {})
    if job.state in HAS_RESULT:
        services.results.opened(job)
    return answer


@router.post("/infer", response_model=ResultOut, responses={**ACCEPTED, **problems(*JOB_STATUSES)})
async def infer(services: Site, caller: Submitter, call: InferCall) -> Response:
    """Take one object of a study, as an S3-triggered function sends it. All calls for a study share one job."""
    job = await services.jobs.object_arrived(object_arrival(call), caller)
    job = await services.jobs.wait(job.id, services.settings.infer_wait_s, caller)
    return await result_or_accepted(services, job, {})


def wants_dicom(accept: str) -> bool:
    """Whether the caller asks for the DICOM object; raises Problem 406 for what we cannot make."""
    offered = [part.split(";")[0].strip() for part in accept.split(",") if part.strip()]
    if any(media in ("application/dicom", "multipart/related") for media in offered):
        return True
    if not offered or any(media in ("*/*", "application/*", "application/json") for media in offered):
        return False
    raise Problem("not-acceptable", "results come as application/json or application/dicom")


def require_no_bad_end(job: Job) -> None:
    """Raise why the job has no result, if it failed or was cancelled."""
    if job.state in (JobState.FAILED, JobState.CANCELED):
        raise ending_problem(job)


async def dicom_answer(jobs: JobService, job: Job, kind: str) -> Response:
    try:
        return Response(await jobs.document(job, kind), media_type="application/dicom")
    except (NoSuchDocument, DocumentPurged) as error:
        raise no_document_problem(job, error) from None


async def result_or_accepted(services: Services, job: Job, headers: dict[str, str]) -> Response:
    require_no_bad_end(job)
    if job.state in FINISHED:
        result = await services.jobs.result(job)
        services.results.given(job)
        return result_answer(result, headers | {"X-Serinus-Job": job.id})
    return accepted(job, headers)


def result_answer(result: JobResult, headers: dict[str, str]) -> Response:
    return JSONResponse(result_out(result).model_dump(mode="json"), headers=headers)


def accepted(job: Job, headers: dict[str, str]) -> Response:
    located = {"Location": f"/v1/jobs/{job.id}", "Retry-After": "1", "X-Serinus-Job": job.id}
    return JSONResponse(job_out(job).model_dump(mode="json"), 202, headers=located | headers)
