"""Studies by HTTP: pushed by STOW-RS, or declared complete.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from typing import Any

from fastapi import APIRouter, Request, Response

from serve_apps.api.dependencies import Sender, Site
from serve_apps.api.examples import STORED_NONE, STORED_ONE
from serve_apps.api.problems import problems
from serve_apps.api.schemas import CompleteOut, Uid
from serve_apps.api.strict_json import StrictRoute

MULTIPART = "multipart/related"
DICOM_JSON = "application/dicom+json"
router = APIRouter(tags=["studies"], responses=problems(), route_class=StrictRoute)

PUSHED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": 'Part 10 files, each a part; `Content-Type: multipart/related; type="application/dicom"; '
        "boundary=…`",
        "content": {
            MULTIPART: {
                "schema": {"type": "string", "format": "binary"},
                "example": "--b\r\nContent-Type: application/dicom\r\n\r\n(a Part 10 file)\r\n--b--\r\n",
            }
        },
    }
}
MODULE = {DICOM_JSON: {"schema": {"type": "object"}, "example": STORED_ONE}}
STORED: dict[int | str, dict[str, Any]] = {
    200: {"description": "all instances are stored", "content": MODULE},
    202: {"description": "some instances are stored; the others are named with a reason", "content": MODULE},
    **problems(415),
    409: {
        "description": "no instance is stored, and each is named with a reason",
        "content": {DICOM_JSON: {"schema": {"type": "object"}, "example": STORED_NONE}},
    },
}


@router.post("/dicom-web/studies", response_class=Response, responses=STORED, openapi_extra=PUSHED)
@router.post(
    "/dicom-web/studies/{study_uid}", response_class=Response, responses=STORED, openapi_extra=PUSHED
)
async def store_instances(
    request: Request, services: Site, caller: Sender, study_uid: Uid | None = None
) -> Response:
    """Store instances by STOW-RS (PS3.18 10.5).

    The study is read when nothing came for a while, or when it is declared complete.
    """
    received = await services.inbox.receive(request.headers, request.stream(), study_uid)
    for stored in received.stored:
        await services.jobs.instance_pushed(
            stored.study_uid, stored.instance_uid, services.inbox.source, caller
        )
    return Response(received.body(), received.status, media_type=DICOM_JSON)


@router.post("/v1/studies/{study_uid}/complete")
async def complete_study(services: Site, caller: Sender, study_uid: Uid) -> CompleteOut:
    """Declare the study complete: its waiting jobs may run at once."""
    return CompleteOut(released=await services.jobs.complete_study(study_uid, caller))
