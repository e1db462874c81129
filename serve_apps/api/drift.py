"""Drift by HTTP: a report, as JSON or as a page, and who says what is normal.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import HTMLResponse, JSONResponse

from observability.drift.page import page_of
from observability.drift.reference import Reference
from observability.drift.report import DriftReport, SignalThenAndNow
from observability.drift.verdict import SignalFinding
from serve_apps.api.dependencies import MUST_READ, Actor, ModelName, Site
from serve_apps.api.drift_schemas import (
    DriftFindingOut,
    DriftReferenceIn,
    DriftReferenceOut,
    DriftReportOut,
    DriftSignalOut,
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


def reference_out(reference: Reference) -> DriftReferenceOut:
    tally, signal = reference.tally, reference.signals[0].name
    return DriftReferenceOut(
        model=reference.model,
        number=reference.version,
        accepted_by=reference.accepted_by,
        accepted_at=datetime.fromtimestamp(reference.accepted_at_s, UTC),
        days=len(tally.slices),
        studies=sum(count for cell, count in tally.cells.items() if cell.signal == signal),
        digest=reference.digest,
    )


def report_out(report: DriftReport) -> DriftReportOut:
    verdict = report.verdict
    return DriftReportOut(
        model=report.model,
        reference=report.reference_version,
        accepted_by=report.accepted_by,
        until_day=report.until,
        state=verdict.state,
        sentence=verdict.sentence,
        log10_m=verdict.trajectory[-1] if verdict.trajectory else None,
        log10_limit=verdict.log10_limit,
        findings=tuple(map(_finding, verdict.findings)),
        signals=tuple(map(_signal, report.signals)),
    )


def _finding(found: SignalFinding) -> DriftFindingOut:
    return DriftFindingOut(
        place=found.node,
        signal=found.signal,
        group=found.group,
        log10_m=found.log10_m,
        psi=found.effect.psi,
        studies=found.effect.studies,
        since_day=found.since,
    )


def _signal(one: SignalThenAndNow) -> DriftSignalOut:
    return DriftSignalOut(
        signal=one.signal.name,
        bins=one.signal.labels,
        reference=one.reference,
        now=one.now,
        psi=one.effect.psi,
        not_armed=one.reason_not_armed,
    )
