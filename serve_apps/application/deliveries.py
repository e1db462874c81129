"""What a finished job must still bring where: decided purely, kept in the ledger's outbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    return (*stored, *callback_of(job, analysis.result.to_json()))


def callback_of(job: Job, result: Mapping[str, Any]) -> tuple[Delivery, ...]:
    """What the caller is told who asked to be called back."""
    if job.callback is None:
        return ()
    payload = {"job": job.id, "state": "completed", "result": dict(result)}
    return (Delivery(kind=CALLBACK, destination=job.callback, document=None, payload=payload),)


def failure_deliveries(job: Job, error: SerinusError) -> tuple[Delivery, ...]:
    """What a failed job must still bring to its caller."""
    return failure_callback(job.id, job.callback, error.code, error.detail)
