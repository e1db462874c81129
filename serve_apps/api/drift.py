"""Drift by HTTP: a report, as JSON or as a page, and who says what is normal.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import HTMLResponse, JSONResponse

from observability.drift.page import page_of
from serve_apps.api.dependencies import MUST_READ, Actor, ModelName, Site
from serve_apps.api.drift_mapping import reference_out, report_out
from serve_apps.api.drift_schemas import (
    DriftAcknowledgedOut,
    DriftAcknowledgeIn,
    DriftReferenceIn,
    DriftReferenceOut,
    DriftReportOut,
)
from serve_apps.api.problems import problems
from serve_apps.api.rollout_evidence import HEADERS, PAGE, wants_page
from serve_apps.api.schemas import NAME_PATTERN
from serve_apps.api.strict_json import StrictRoute

FORMS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the report; with `Accept: text/html` the same as a page that needs nothing else",
        "content": {PAGE: {"schema": {"type": "string"}, "example": "<!doctype html>…"}},
    }
}
OfVersion = Annotated[str | None, Query(pattern=NAME_PATTERN, description="left out: the champion")]
router = APIRouter(prefix="/v1/drift", tags=["drift"], responses=problems(404), route_class=StrictRoute)


@router.get(
    "/{model}",
    response_model=DriftReportOut,
    responses={**problems(406), **FORMS},
    dependencies=[MUST_READ],
)
async def get_drift(
    services: Site,
    model: ModelName,
    version: OfVersion = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """Whether what a version reads, and says, is still as when a person called it normal. 404 before anybody did."""
    as_page = wants_page(accept)
    report = await services.drift.report(model, version)
    if as_page:
        return HTMLResponse(page_of(report), headers=HEADERS)
    return JSONResponse(report_out(report).model_dump(mode="json"), headers=HEADERS)


@router.put("/{model}/reference")
async def accept_reference(
    services: Site, actor: Actor, model: ModelName, said: DriftReferenceIn
) -> DriftReferenceOut:
    """Say that the last days were normal; audited with who said it. Nothing learns this by itself."""
    return reference_out(await services.drift.accept(model, said.version, said.days, actor=actor))


@router.post("/{model}/acknowledge")
async def acknowledge_drift(
    services: Site, actor: Actor, model: ModelName, said: DriftAcknowledgeIn
) -> DriftAcknowledgedOut:
    """Say that a person has looked and keeps the reference; audited with who. Watching begins anew today."""
    seen = await services.drift.acknowledge(model, said.version, actor=actor)
    found = seen.seen
    return DriftAcknowledgedOut(
        model=seen.model,
        version=seen.version,
        reference=seen.reference,
        state=None if found is None else found.state,
        sentence="" if found is None else found.sentence,
    )
