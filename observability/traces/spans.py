"""The spans of a kept trace as values. Each id is a digest of what it names: to send one twice changes nothing.

The root spans the study, with a child for each stage. A silent reading is a trace of its own that links to the
study's, and studies that were read in one forward pass link to its span.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from hashlib import blake2b
from typing import Final, TypeAlias

from observability.names import BATCH_SPAN, STAGE_SPANS, STUDY_SPAN, Attribute, Stage, silent_span
from observability.record import InferenceRecord, Outcome, StageTiming, StudyTrace
from observability.redaction import scrub
from observability.traces.caller import caller_of
from observability.traces.kept import Why

Value: TypeAlias = str | int | float | bool | None
MOST_CHARACTERS: Final = 256
_STAGE: Final = Attribute.STAGE.value
_CODE: Final = Attribute.ERROR_CODE.value


class Form(Enum):
    """Whether the root of a study hangs under its caller's span, or is a root of its own that links to it.

    MLflow shows a trace as in progress until its root has come, which the caller's would never.
    """

    CHILD_OF_CALLER = 1
    OWN_ROOT = 2


@dataclass(frozen=True, slots=True)
class SpanRef:
    """A span by the bytes of its trace id (16) and its own (8)."""

    trace_id: bytes
    span_id: bytes


@dataclass(frozen=True, slots=True)
class Span:
    """From `start_ns` to `end_ns` since the Unix epoch; `error` is the code of one that failed."""

    ref: SpanRef
    parent_id: bytes | None
    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Value] = field(default_factory=dict)
    error: str | None = None
    links: tuple[SpanRef, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptTrace:
    """A trace, why it is kept, its study's name this month, and of a silent reading the live one."""

    trace: StudyTrace
    why: Why
    study_name: str
    live: StudyTrace | None = None


def root_of(trace: StudyTrace, form: Form) -> SpanRef:
    """The span that stands for the study in this form."""
    caller = caller_of(trace.traceparent) if form is Form.CHILD_OF_CALLER else None
    trace_id = bytes.fromhex(trace.trace_id)
    return SpanRef(caller.trace_id if caller else trace_id, _span_id(trace_id, "root"))


def spans_of(kept: KeptTrace, form: Form) -> Iterator[Span]:
    """The root, then its children."""
    trace, root = kept.trace, root_of(kept.trace, form)
    caller, answer = caller_of(trace.traceparent), trace.answer
    links = [root_of(kept.live, form)] if kept.live else []
    if caller and form is Form.OWN_ROOT:
        links.append(SpanRef(caller.trace_id, caller.span_id))
    yield Span(
        root,
        caller.span_id if caller and form is Form.CHILD_OF_CALLER else None,
        STUDY_SPAN if trace.is_live else silent_span(answer.role if answer else "shadow"),
        trace.start_ns,
        trace.end_ns,
        {**_clean(_of_study(kept)), **_names_of(kept)},
        _error(trace.error_code, failed=trace.outcome is not Outcome.OK),
        tuple(links),
    )
    stages = (*trace.stages, *_stage_that_failed(trace))
    for number, timing in enumerate(stages):
        yield _stage(root, f"{number}", timing, {})
    for place, record in enumerate(trace.records):
        told = _clean(_of_version(record) if record is answer else _of_version(record) | _of_reading(record))
        for number, timing in enumerate(record.stages):
            yield _stage(root, f"{place}.{number}", timing, told, _batch_of(record, timing))


def batches_of(kept: Iterable[KeptTrace], form: Form) -> Iterator[Span]:
    """One span for each forward pass that read several studies, in a trace of its own, with links to those here."""
    members: dict[SpanRef, list[Span]] = {}
    of: dict[SpanRef, InferenceRecord] = {}
    for one in kept:
        for place, record in enumerate(one.trace.records):
            for number, timing in enumerate(record.stages):
                for batch in _batch_of(record, timing):
                    root = root_of(one.trace, form)
                    member = _stage(root, f"{place}.{number}", timing, {})
                    members.setdefault(batch, []).append(member)
                    of[batch] = record
    for batch, spans in members.items():
        told = {**_of_version(of[batch]), Attribute.BATCH_SIZE: of[batch].batch_size}
        start, end = min(one.start_ns for one in spans), max(one.end_ns for one in spans)
        links = tuple(one.ref for one in spans)
        yield Span(batch, None, BATCH_SPAN, start, end, _clean(told), links=links)


def _stage(
    root: SpanRef,
    place: str,
    timing: StageTiming,
    told: Mapping[str, Value],
    links: tuple[SpanRef, ...] = (),
) -> Span:
    error = _error(timing.error_code, failed=timing.error_code is not None)
    own: dict[str, Value] = {_STAGE: timing.stage.value}
    if error is not None:
        own[_CODE] = error
    return Span(
        SpanRef(root.trace_id, _span_id(root.span_id, f"{place}:{timing.stage.value}")),
        root.span_id,
        STAGE_SPANS[timing.stage],
        timing.start_ns,
        timing.end_ns,
        {**told, **own},
        error,
        links,
    )


def _stage_that_failed(trace: StudyTrace) -> tuple[StageTiming, ...]:
    """Whoever fails tells no time of its own: it had what was left."""
    if trace.failed_at is None or any(timing.error_code for timing in trace.stages):
        return ()
    start_ns = max((timing.end_ns for timing in trace.stages), default=trace.start_ns)
    return (StageTiming(trace.failed_at, min(start_ns, trace.end_ns), trace.end_ns, trace.error_code),)


def _batch_of(record: InferenceRecord, timing: StageTiming) -> tuple[SpanRef, ...]:
    if timing.stage is not Stage.FORWARD or record.batch_size < 2:
        return ()
    told = f"{record.replica}:{timing.start_ns}"
    trace_id = blake2b(told.encode(), digest_size=16, person=b"batch").digest()
    return (SpanRef(trace_id, _span_id(trace_id, "root")),)


def _span_id(above: bytes, place: str) -> bytes:
    return blake2b(above + place.encode(), digest_size=8, person=b"span").digest()


def _error(code: str | None, *, failed: bool) -> str | None:
    return clean_text(code or "failed") if failed else None


def _of_study(kept: KeptTrace) -> dict[Attribute, Value]:
    trace, subject = kept.trace, kept.trace.subject
    told = {**_of_version(subject), **_of_reading(subject)} if subject else {}
    return {
        **told,
        Attribute.SITE: trace.site,
        Attribute.OUTCOME: trace.outcome.value,
        Attribute.ERROR_CODE: trace.error_code,
        Attribute.KEPT: kept.why.value,
    }


def _names_of(kept: KeptTrace) -> dict[str, Value]:
    """Names that we made ourselves and that come only once: there is nothing to scrub."""
    told = {Attribute.STUDY_NAME.value: kept.study_name}
    if kept.trace.job_id:
        told[Attribute.JOB_ID.value] = kept.trace.job_id
    if kept.trace.traceparent:
        told[Attribute.RECORD.value] = kept.trace.trace_id
    return {**told}


def _of_version(record: InferenceRecord) -> dict[Attribute, Value]:
    return {
        Attribute.MODEL: record.model,
        Attribute.VERSION: record.version,
        Attribute.VARIANT: record.variant,
        Attribute.DELIVERED: record.delivered,
        Attribute.ERROR_CODE: record.error_code,
    }


def _of_reading(record: InferenceRecord) -> dict[Attribute, Value]:
    facts = record.facts
    return {
        Attribute.DIGEST: record.digest,
        Attribute.OUTCOME: record.outcome.value,
        Attribute.ROLE: record.role,
        Attribute.DEVICE: record.device,
        Attribute.ATTEMPT: record.attempt,
        Attribute.BYTES_IN: record.bytes_in,
        Attribute.MODALITY: facts.modality if facts else None,
        Attribute.SLICES: facts.slices if facts else None,
        Attribute.INPUT_CHECK: record.input_check,
        Attribute.INPUT_DISTANCE: record.input_distance,
    }


def _clean(told: Mapping[Attribute, Value]) -> dict[str, Value]:
    """Without the empty ones, and with every text scrubbed: no caller can slip a UID into a span."""
    return {
        name: clean_text(value) if isinstance(value, str) else value
        for name, value in told.items()
        if value is not None and value != ""
    }


@lru_cache(maxsize=4096)
def clean_text(text: str) -> str:
    """Scrubbed, and not longer than `MOST_CHARACTERS`. Most texts are names of models, which come again and again."""
    return scrub(text)[:MOST_CHARACTERS]
