"""What a caller is told who asked to be called back: the end of his job, however it ended. Pure.

Silence would pass for a negative result, so a failure and a cancel are told as a result is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from core.errors import JobCanceled
from ledger.records import Delivery, Job
from ledger.state import JobState

CALLBACK: Final = "callback"
CANCELED: Final = {"code": JobCanceled.code, "detail": "the job was cancelled"}


def callback_of_result(job: Job, result: Mapping[str, Any]) -> tuple[Delivery, ...]:
    """The job has a result."""
    return _callback(job, JobState.COMPLETED, {"result": dict(result)})


def callback_of_failure(job: Job, code: str, detail: str) -> tuple[Delivery, ...]:
    """The job has failed for good."""
    return _callback(job, JobState.FAILED, {"error": {"code": code, "detail": detail}})


def callback_of_cancel(job: Job) -> tuple[Delivery, ...]:
    """Somebody has cancelled the job, who need not be the one who asked to be called back."""
    return _callback(job, JobState.CANCELED, {"error": CANCELED})


def _callback(job: Job, state: JobState, outcome: Mapping[str, Any]) -> tuple[Delivery, ...]:
    if job.callback is None:
        return ()
    said = {
        "job": job.id,
        "state": state.value,
        "study_uid": job.study.study_uid,
        "context": dict(job.context),
        **outcome,
    }
    return (Delivery(kind=CALLBACK, destination=job.callback, payload=said),)
