"""Studies by HTTP: pushed by STOW-RS, or declared complete.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from fastapi import APIRouter, Request, Response

from serve_apps.api.dependencies import Sender, Site
from serve_apps.api.problems import PROBLEMS
from serve_apps.api.schemas import CompleteOut, Uid

router = APIRouter(tags=["studies"], responses=dict(PROBLEMS))


@router.post("/dicom-web/studies")
@router.post("/dicom-web/studies/{study_uid}")
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
    return Response(received.body(), received.status, media_type="application/dicom+json")


@router.post("/v1/studies/{study_uid}/complete")
async def complete_study(services: Site, caller: Sender, study_uid: Uid) -> CompleteOut:
    """Declare the study complete: its waiting jobs may run at once."""
    return CompleteOut(released=await services.jobs.complete_study(study_uid, caller))
