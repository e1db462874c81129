"""The HTTP surface: routes, status codes and media types. What they do is in `job_service`.

FastAPI reads the annotations of the routes at run time, so they are not postponed here: `need` is a local name.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

from fastapi import Depends, FastAPI, Header, Query, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from core.errors import SerinusError
from ledger import FINISHED, Job, JobState
from serve_apps.api.auth import ApiKeys, Caller, Scope
from serve_apps.api.problem_docs import PROBLEMS
from serve_apps.api.problems import Problem, problem_of
from serve_apps.api.routing import add_routes
from serve_apps.api.schemas import (
    CompleteOut,
    InferCall,
    JobOut,
    JobPage,
    JobSubmission,
    ModelsOut,
    ResultOut,
    Uid,
)
from serve_apps.api.stow import Inbox
from serve_apps.api.webhook_receiver import WebhookReceiver
from serve_apps.application.ab_tests import ABService
from serve_apps.application.jobs import JobService, job_problem, to_wire
from serve_apps.application.routing import RoutingService
from serve_apps.settings import Settings

MAX_WAIT_S = 300.0
VARIANT = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False)


class Services:
    """What the routes need, made by whoever hosts the application."""

    def __init__(
        self,
        settings: Settings,
        jobs: JobService,
        routing: RoutingService,
        ab_tests: ABService,
        keys: ApiKeys,
        inbox: Inbox,
        webhooks: WebhookReceiver,
    ) -> None:
        self.settings, self.jobs, self.routing = settings, jobs, routing
        self.ab_tests = ab_tests
        self.keys, self.inbox, self.webhooks = keys, inbox, webhooks


def create_app(services: Callable[[], Services]) -> FastAPI:
    """The application; `services` is asked at each request, so that it may be built before they exist."""
    app = FastAPIOffline(  # its pages load nothing from outside: a hospital's network has no outside
        title="Serinus",
        version="1",
        summary="Canary releases for imaging AI",
        description="Name a study, get a result. Send the key in `X-API-Key`.",
        lifespan=_lifespan,
        openapi_tags=[
            {"name": "jobs", "description": "Read a study and fetch its result"},
            {"name": "studies", "description": "Push studies by STOW-RS, or say that one is complete"},
            {"name": "routing", "description": "Who reads what, why, and how to change it"},
            {"name": "system", "description": "Health and what is in service"},
        ],
    )
    _add_errors(app)
    guard = _guard(services)
    _add_jobs(app, services, guard)
    _add_infer(app, services, guard)
    _add_studies(app, services, guard)
    _add_system(app, services, guard)
    add_routes(app, services, guard)
    return app


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield


Guard = Callable[[Scope], Callable[..., Caller]]


def _guard(services: Callable[[], Services]) -> Guard:
    def need(scope: Scope) -> Callable[..., Caller]:
        def caller(key: Annotated[str | None, Security(API_KEY)] = None) -> Caller:
            found = services().keys.authenticate(key)
            found.require(scope)
            return found

        return caller

    return need


def _add_jobs(app: FastAPI, services: Callable[[], Services], need: Guard) -> None:
    _add_submission(app, services, need)
    _add_following(app, services, need)


def _add_submission(app: FastAPI, services: Callable[[], Services], need: Guard) -> None:
    @app.post("/v1/jobs", status_code=202, response_model=JobOut, responses=PROBLEMS, tags=["jobs"])
    async def submit_job(
        submission: JobSubmission,
        caller: Annotated[Caller, Depends(need(Scope.JOBS_WRITE))],
        idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
        prefer: Annotated[str | None, Header(examples=["wait=30"])] = None,
        x_serinus_variant: Annotated[
            str | None,
            Header(pattern=VARIANT, max_length=255, description="for testers: the variant that is to read"),
        ] = None,
    ) -> Response:
        """Accept a study for reading. `Prefer: wait=N` answers with the result when it is ready in N seconds.

        `X-Serinus-Variant` needs a key with the scope `variants:choose`.
        """
        jobs = services().jobs
        job, replayed = await jobs.submit(submission, caller, idempotency_key, x_serinus_variant)
        headers = {"Idempotent-Replayed": "true"} if replayed else {}
        wait = preferred_wait(prefer)
        if wait is None:
            return _accepted(job, headers)
        job = await jobs.wait(job.id, wait)
        return await _result_or_accepted(jobs, job, headers | {"Preference-Applied": f"wait={wait:g}"})

    @app.delete(
        "/v1/jobs/{job_id}", status_code=202, response_model=JobOut, responses=PROBLEMS, tags=["jobs"]
    )
    async def cancel_job(job_id: str, _: Annotated[Caller, Depends(need(Scope.JOBS_WRITE))]) -> JobOut:
        return to_wire(await services().jobs.cancel(job_id))


def _add_following(app: FastAPI, services: Callable[[], Services], need: Guard) -> None:
    @app.get("/v1/jobs", response_model=JobPage, responses=PROBLEMS, tags=["jobs"])
    async def list_jobs(
        _: Annotated[Caller, Depends(need(Scope.RESULTS_READ))],
        study_uid: Uid | None = None,
        state: str | None = None,
        model: str | None = None,
        since: datetime | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: str | None = None,
    ) -> JobPage:
        """Newest first; an orchestrator reconciles with this after its own restart."""
        return await services().jobs.list(
            study_uid=study_uid, state=state, model=model, since=since, limit=limit, cursor=cursor
        )

    @app.get("/v1/jobs/{job_id}", response_model=JobOut, responses=PROBLEMS, tags=["jobs"])
    async def get_job(
        job_id: str,
        _: Annotated[Caller, Depends(need(Scope.RESULTS_READ))],
        wait: Annotated[float, Query(ge=0, le=MAX_WAIT_S)] = 0.0,
    ) -> JobOut:
        return to_wire(await services().jobs.wait(job_id, wait))

    @app.get("/v1/jobs/{job_id}/results", response_model=ResultOut, responses=PROBLEMS, tags=["jobs"])
    async def get_results(
        job_id: str,
        request: Request,
        _: Annotated[Caller, Depends(need(Scope.RESULTS_READ))],
    ) -> Response:
        """JSON, or by `Accept: application/dicom` the DICOM SR (`?document=seg` the segmentation)."""
        jobs = services().jobs
        kind = request.query_params.get("document", "sr")
        if wants_dicom(request.headers.get("accept", "")):
            return Response(await jobs.document(job_id, kind), media_type="application/dicom")
        return JSONResponse(await jobs.result(job_id))


def _add_infer(app: FastAPI, services: Callable[[], Services], need: Guard) -> None:
    @app.post("/v1/infer", responses=PROBLEMS, tags=["jobs"])
    async def infer(call: InferCall, caller: Annotated[Caller, Depends(need(Scope.JOBS_WRITE))]) -> Response:
        """One object of a study, as an S3-triggered function sends it. All calls for a study share one job."""
        jobs, settings = services().jobs, services().settings
        job = await jobs.infer(call, caller)
        job = await jobs.wait(job.id, settings.infer_wait_s)
        return await _result_or_accepted(jobs, job, {})


def _add_studies(app: FastAPI, services: Callable[[], Services], need: Guard) -> None:
    @app.post("/dicom-web/studies", responses=PROBLEMS, tags=["studies"])
    @app.post("/dicom-web/studies/{study_uid}", responses=PROBLEMS, tags=["studies"])
    async def store_instances(
        request: Request,
        caller: Annotated[Caller, Depends(need(Scope.STUDIES_WRITE))],
        study_uid: Uid | None = None,
    ) -> Response:
        """STOW-RS (PS3.18 10.5). The study is read when it has been quiet for a while, or declared complete."""
        received = await services().inbox.receive(request.headers, request.stream(), study_uid)
        for stored in received.stored:
            await services().jobs.pushed(
                stored.study_uid, stored.instance_uid, services().inbox.source, caller
            )
        return Response(received.body(), received.status, media_type="application/dicom+json")

    @app.post(
        "/v1/studies/{study_uid}/complete", response_model=CompleteOut, responses=PROBLEMS, tags=["studies"]
    )
    async def complete_study(
        study_uid: Uid, caller: Annotated[Caller, Depends(need(Scope.STUDIES_WRITE))]
    ) -> CompleteOut:
        return CompleteOut(released=await services().jobs.complete_study(study_uid, caller))


def _add_system(app: FastAPI, services: Callable[[], Services], need: Guard) -> None:
    @app.get("/healthz", tags=["system"])
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", responses=PROBLEMS, tags=["system"])
    async def readyz() -> dict[str, str]:
        """503 until every champion is warm."""
        services().jobs.require_ready()
        return {"status": "ready"}

    @app.get("/v1/models", response_model=ModelsOut, responses=PROBLEMS, tags=["system"])
    async def models(_: Annotated[Caller, Depends(need(Scope.RESULTS_READ))]) -> ModelsOut:
        return services().jobs.models()

    @app.post("/v1/webhooks/mlflow", status_code=204, responses=PROBLEMS, tags=["system"])
    async def mlflow_webhook(request: Request) -> None:
        """Something changed in MLflow: look now. Signed with HMAC instead of a key; the body is not believed."""
        await services().webhooks.receive(request.headers, request.stream())

    @app.get("/v1/queue", responses=PROBLEMS, tags=["system"])
    async def queue(_: Annotated[Caller, Depends(need(Scope.RESULTS_READ))]) -> dict[str, int]:
        return dict(await services().jobs.counts())


def _add_errors(app: FastAPI) -> None:
    async def problem(_: Request, error: Exception) -> Response:
        found = error if isinstance(error, Problem) else _to_problem(error)
        return JSONResponse(found.body(), found.status, headers=found.headers)

    for kind in (Problem, SerinusError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, problem)


def _to_problem(error: Exception) -> Problem:
    if isinstance(error, SerinusError):
        return problem_of(error)
    if isinstance(error, RequestValidationError):
        return validation_problem(error)
    if isinstance(error, HTTPException):
        code = {404: "not-found", 405: "method-not-allowed", 400: "invalid-json"}.get(error.status_code)
        return Problem(code or "bad-request", str(error.detail), status=error.status_code)
    return Problem("internal-error", "the request could not be handled")


def validation_problem(error: RequestValidationError) -> Problem:
    """400 for what is no JSON, 422 with a JSON pointer for a field; never the value that was sent."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return Problem("invalid-json", "the body is not valid JSON")
    where = [str(part) for part in first["loc"]]
    pointer = "/" + "/".join(where[1:])
    return Problem("invalid-field", f"{where[0]} {pointer}: {_reason(first['type'])}", pointer=pointer)


def _reason(kind: str) -> str:
    return {
        "missing": "is missing",
        "extra_forbidden": "is not a known field",
        "string_pattern_mismatch": "has not the required form",
        "enum": "is none of the allowed values",
    }.get(kind, f"is invalid ({kind})")


def preferred_wait(prefer: str | None) -> float | None:
    """Seconds of `Prefer: wait=N` (RFC 7240), at most five minutes; None when it is not asked for."""
    for part in (prefer or "").split(","):
        name, _, value = part.strip().partition("=")
        if name == "wait" and value.isdigit():
            return min(float(value), MAX_WAIT_S)
    return None


def wants_dicom(accept: str) -> bool:
    """Whether the caller asks for the DICOM object; raises Problem 406 for what we cannot make."""
    offered = [part.split(";")[0].strip() for part in accept.split(",") if part.strip()]
    if any(media in ("application/dicom", "multipart/related") for media in offered):
        return True
    if not offered or any(media in ("*/*", "application/*", "application/json") for media in offered):
        return False
    raise Problem("not-acceptable", "results come as application/json or application/dicom")


async def _result_or_accepted(jobs: JobService, job: Job, headers: dict[str, str]) -> Response:
    if job.state is JobState.FAILED:
        raise job_problem(job)
    if job.state in FINISHED:
        return JSONResponse(await jobs.result(job.id), headers=headers | {"X-Serinus-Job": job.id})
    return _accepted(job, headers)


def _accepted(job: Job, headers: dict[str, str]) -> Response:
    located = {"Location": f"/v1/jobs/{job.id}", "Retry-After": "1", "X-Serinus-Job": job.id}
    return JSONResponse(to_wire(job).model_dump(mode="json"), 202, headers=located | headers)
