"""What a finished job must still bring where: decided purely, kept in the ledger's outbox."""

from __future__ import annotations

from core.errors import SerinusError
from ledger import CALLBACK as CALLBACK
from ledger import Delivery, Job, failure_callback
from serve_apps.application.analyse_study import Analysis
from serve_apps.settings import SourceSettings

STOW = "stow"
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
    """What a failed job must still bring to its caller."""
    return failure_callback(job.id, job.callback, error.code, error.detail)
