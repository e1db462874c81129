"""Every name a person meets in a trace, a metric or a dashboard. One file, so that none is ever spelt twice.

A name never holds a variable part (no UID, no path, no version): those are attribute values.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

SERVICE: Final = "serinus"


class Stage(StrEnum):
    """The steps of one study, in the order in which they happen. The values are stable."""

    QUEUE = "queue"  # from accepted to started
    FETCH = "fetch"
    DECODE = "decode"
    SELECT = "select"  # which series, and is the geometry sound
    PREPARE = "prepare"
    WAIT = "wait"  # for the batch to fill
    FORWARD = "forward"
    INTERPRET = "interpret"
    REPORT = "report"
    STORE = "store"


STUDY_SPAN: Final = "study.process"
BATCH_SPAN: Final = "inference.batch"  # one forward pass that read several studies

STAGE_SPANS: Final[Mapping[Stage, str]] = {
    Stage.QUEUE: "queue.wait",
    Stage.FETCH: "dicom.receive",
    Stage.DECODE: "dicom.decode",
    Stage.SELECT: "study.validate",
    Stage.PREPARE: "preprocess",
    Stage.WAIT: "batch.wait",
    Stage.FORWARD: "inference",
    Stage.INTERPRET: "postprocess",
    Stage.REPORT: "result.encode",
    Stage.STORE: "result.store",
}


def silent_span(role: str) -> str:
    """The root of a reading that nobody waits for: `study.shadow`, `study.replay`, …"""
    return f"study.{role}"


class Attribute(StrEnum):
    """Span attributes. These are sent and no others; a value of free text is scrubbed."""

    STUDY_NAME = "serinus.study.name"  # a keyed pseudonym of this month
    JOB_ID = "serinus.job.id"
    SITE = "serinus.site"
    OUTCOME = "serinus.outcome"
    ERROR_CODE = "error.type"  # OpenTelemetry's own name
    STAGE = "serinus.stage"
    MODEL = "serinus.model.name"
    VERSION = "serinus.model.version"
    DIGEST = "serinus.model.digest"
    VARIANT = "serinus.variant"
    DELIVERED = "serinus.delivered"
    DEVICE = "serinus.device"
    ATTEMPT = "serinus.attempt"
    BYTES_IN = "serinus.bytes_in"
    MODALITY = "serinus.input.modality"
    SLICES = "serinus.input.slices"
    INPUT_CHECK = "serinus.input.check"  # in-distribution, out-of-distribution, unchecked
    INPUT_DISTANCE = "serinus.input.distance"  # in limits: above 1 it is out of distribution
    ROLE = "serinus.role"  # what the version was asked for: answered, failed, shadow, replay, …
    KEPT = "serinus.kept"  # why the trace is kept
    RECORD = "serinus.record.trace"  # the trace id that metrics know, also where the trace is a caller's
    BATCH_SIZE = "serinus.batch.size"
