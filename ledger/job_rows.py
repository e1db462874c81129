"""Rows of the table `jobs` as values, and what makes two requests the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy.engine import RowMapping

from core.priority import Priority
from core.study import StudyRef
from ledger.records import Job, JobRequest
from ledger.state import JobState
from ledger.tables import jobs

SAME_IN_JOB = frozenset(field.name for field in fields(Job)) & frozenset(jobs.c.keys()) - {
    "state",
    "priority",
    "outputs",
}

FREE: Final[Mapping[str, None]] = MappingProxyType(
    dict.fromkeys(("token", "worker", "lease_until", "takeover_at", "stage"))
)
"""What the row of a job says that is in nobody's hands."""


def fingerprint_of(request: JobRequest) -> str:
    """What two submissions must share to be the same request."""
    body: list[Any] = [
        request.study.study_uid,
        request.study.source,
        list(request.study.series_uids),
        request.model,
        request.priority.value,
        list(request.outputs),
        request.callback,
        dict(request.context),
        request.tester_variant,
        request.force,
    ]
    if request.deadline_s is not None:  # keys that were used before there were deadlines stay good
        body.append(request.deadline_s)
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def request_of(row: RowMapping) -> JobRequest:
    """What a job was asked for."""
    return JobRequest(
        StudyRef(row["source"], row["study_uid"], tuple(row["series_uids"])),
        model=row["requested_model"],
        priority=Priority(row["asked_priority"] or row["priority"]),
        outputs=tuple(row["outputs"]),
        callback=row["callback"],
        context=row["context"],
        tester_variant=row["tester_variant"],
        force=row["force"],
        deadline_s=row["deadline_s"],
    )


def job_of(row: Mapping[str, Any] | RowMapping, undelivered: tuple[str, ...] = ()) -> Job:
    """A row of the table `jobs` as a value."""
    plain = {name: row[name] for name in SAME_IN_JOB}
    return Job(
        **plain,
        state=JobState(row["state"]),
        priority=Priority(row["priority"]),
        study=StudyRef(row["source"], row["study_uid"], tuple(row["series_uids"]), tuple(row["inputs"])),
        outputs=tuple(row["outputs"]),
        undelivered=undelivered,
    )
