"""Every name a person meets in a trace, a metric or a dashboard. One file, so that none is ever spelt twice.

A name never holds a variable part (no UID, no path, no version): those are attribute values.
"""

from __future__ import annotations

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


STUDY_SPAN: Final = "serinus.study"


def stage_span(stage: Stage) -> str:
    """`serinus.fetch`, `serinus.forward`, …"""
    return f"serinus.{stage.value}"


class Attribute(StrEnum):
    """Span attributes. The recorder sends these and no others."""

    STUDY_KEY = "serinus.study.key"  # the keyed pseudonym
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
