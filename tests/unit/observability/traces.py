"""Builders of whole, valid records and traces; a test states only what matters to it."""

from __future__ import annotations

from typing import Any

from observability.names import Stage
from observability.record import InferenceRecord, InputFacts, Outcome, StageTiming, StudyTrace

T0 = 1_764_000_000_000_000_000  # ns since the epoch, November 2025
MS = 1_000_000


def timing(stage: Stage, start_ms: int, end_ms: int, error_code: str | None = None) -> StageTiming:
    return StageTiming(stage, T0 + start_ms * MS, T0 + end_ms * MS, error_code)


def reading(**changes: Any) -> InferenceRecord:
    values: dict[str, Any] = {
        "study_key": "st-jnzld2cdigvp3kwf",
        "model": "ich-triage",
        "version": "2",
        "digest": "ab" * 32,
        "variant": "champion",
        "outcome": Outcome.OK,
        "delivered": True,
        "stages": (timing(Stage.PREPARE, 50, 60), timing(Stage.FORWARD, 60, 90)),
        "bytes_in": 1024,
        "facts": InputFacts("CT", "HEAD", slices=30),
    }
    return InferenceRecord(**(values | changes))


def study(**changes: Any) -> StudyTrace:
    values: dict[str, Any] = {
        "study_key": "st-jnzld2cdigvp3kwf",
        "start_ns": T0,
        "end_ns": T0 + 100 * MS,
        "outcome": Outcome.OK,
        "stages": (timing(Stage.QUEUE, 0, 5), timing(Stage.FETCH, 5, 40), timing(Stage.DECODE, 40, 50)),
        "records": (reading(),),
        "job_id": "job-1",
        "site": "north",
    }
    return StudyTrace(**(values | changes))
