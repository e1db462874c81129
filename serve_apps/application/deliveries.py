"""What a finished job must still bring where: decided purely, kept in the ledger's outbox."""

from __future__ import annotations

from core.errors import SerinusError
from ledger import Delivery, Job
from serve_apps.application.analyse_study import Analysis
from serve_apps.settings import SourceSettings

STOW = "stow"
CALLBACK = "callback"
DICOM_DOCUMENTS = ("sr", "seg")


def deliveries_for(job: Job, source: SourceSettings, analysis: Analysis) -> tuple[Delivery, ...]:
    """The DICOM objects back to the source they came from, and the caller's callback."""
    stored = tuple(
        Delivery(kind=STOW, destination=source.id, document=kind, payload=None)
        for kind in DICOM_DOCUMENTS
        if kind in analysis.documents
    )
    if job.callback is None:
        return stored
    payload = {"job": job.id, "state": "completed", "result": analysis.result.to_json()}
    return (*stored, Delivery(kind=CALLBACK, destination=job.callback, document=None, payload=payload))


def failure_deliveries(job: Job, error: SerinusError) -> tuple[Delivery, ...]:
    """Who asked to be called back is told of a failure too: silence would pass for a negative result."""
    if job.callback is None:
        return ()
    payload = {"job": job.id, "state": "failed", "error": {"code": error.code, "detail": error.detail}}
    return (Delivery(kind=CALLBACK, destination=job.callback, document=None, payload=payload),)
