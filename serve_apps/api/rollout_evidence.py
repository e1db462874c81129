"""The evidence pack of a rollout by HTTP: as JSON, which can be checked, and as a page, which can be read.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import HTMLResponse, JSONResponse

from serve_apps.api.dependencies import MUST_READ, ModelName, Site
from serve_apps.api.problems import Problem, problems
from serve_apps.api.rollout_schemas import MAX_RUN, EvidencePackOut
from serve_apps.api.strict_json import StrictRoute

PAGE, JSON = "text/html", "application/json"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
FORMS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the pack; with `Accept: text/html` the same as a page that needs nothing else",
        "content": {PAGE: {"schema": {"type": "string"}, "example": "<!doctype html>…"}},
    }
}
router = APIRouter(prefix="/v1/rollouts", tags=["rollouts"], route_class=StrictRoute)


@router.get(
    "/{model}/evidence",
    response_model=EvidencePackOut,
    responses={**problems(406, 504), **FORMS},
    dependencies=[MUST_READ],
)
async def get_evidence(
    services: Site,
    model: ModelName,
    run: Annotated[
        int | None, Query(ge=1, le=MAX_RUN, description="left out: the one that began last")
    ] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """All that is known of one run, as a hash chain: plan, versions, approvals, events, and each metric's e-values.

    It is computed once more from the rows of the ledger and writes nothing. No study and no patient stands in it.
    """
    if wants_page(accept):
        return HTMLResponse(await services.evidence_packs.page_of(model, run), headers=HEADERS)
    return JSONResponse(await services.evidence_packs.of(model, run), headers=HEADERS)


def wants_page(accept: str) -> bool:
    """Whether the caller asks for the page before JSON; raises Problem 406 for what there is not."""
    offered = [part.split(";")[0].strip().lower() for part in accept.split(",") if part.strip()]
    for media in offered:
        if media in (PAGE, "text/*"):
            return True
        if media in (JSON, "application/*", "*/*"):
            return False
    if offered:
        raise Problem("not-acceptable", f"evidence comes as {JSON} or {PAGE}")
    return False
