"""Metrics by HTTP, for Prometheus.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from typing import Any

from fastapi import APIRouter, Response

from observability.metrics.exposition import CONTENT_TYPE
from serve_apps.api.dependencies import MUST_SCRAPE, Site
from serve_apps.api.problems import problems

TEXT = "application/openmetrics-text"
OK: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "OpenMetrics 1.0",
        "content": {TEXT: {"schema": {"type": "string"}, "example": "# EOF\n"}},
    }
}
router = APIRouter(tags=["system"], responses={**problems(), **OK})


@router.get("/metrics", dependencies=[MUST_SCRAPE], response_class=Response)
async def metrics(services: Site) -> Response:
    """What the records of studies add up to, and how the site stands now; no study and no patient is in it.

    Every replica answers the same. Scope `metrics:read`; the key may come as `Authorization: Bearer`.
    """
    return Response(await services.metrics.exposition(), media_type=CONTENT_TYPE)
