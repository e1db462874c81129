"""One study is one trace, with a span per stage and no patient in it; what is sent twice is the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from observability.names import STAGE_SPANS, Attribute, Stage
from observability.record import Outcome, StudyTrace
from observability.traces.kept import Why
from observability.traces.otlp import request_of as encoded
from observability.traces.spans import Form, KeptTrace, Span, batches_of, root_of, spans_of

from .traces import MS, T0, reading, study, timing

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SILENT = {"variant": "shadow-next", "version": "3", "delivered": False, "role": "shadow"}


def kept(trace: StudyTrace, live: StudyTrace | None = None) -> KeptTrace:
    return KeptTrace(trace, Why.SHARE, "sp-jnzld2cdigvp3kwf", live)


def spans(trace: StudyTrace, form: Form = Form.OWN_ROOT, live: StudyTrace | None = None) -> list[Span]:
    return list(spans_of(kept(trace, live), form))


def told(span: Span) -> dict[str, Any]:
    return dict(span.attributes)


def test_a_study_is_one_root_with_a_child_per_stage() -> None:
    root, *children = spans(study())
    assert root.name == "study.process"
    assert (root.start_ns, root.end_ns, root.parent_id) == (T0, T0 + 100 * MS, None)
    assert [span.name for span in children] == [
        "queue.wait",
        "dicom.receive",
        "dicom.decode",
        "preprocess",
        "inference",
    ]
    assert {span.parent_id for span in children} == {root.ref.span_id}
    assert {span.ref.trace_id.hex() for span in (root, *children)} == {study().trace_id}
    assert (children[1].start_ns, children[1].end_ns) == (T0 + 5 * MS, T0 + 40 * MS)


def test_every_stage_has_a_span_of_its_own_name() -> None:
    assert STAGE_SPANS.keys() == set(Stage)
    assert len(set(STAGE_SPANS.values())) == len(Stage)


def test_what_is_sent_twice_has_the_same_ids_and_no_two_spans_share_one() -> None:
    trace = study(records=(reading(), reading(**SILENT), reading(**SILENT)))
    once = [span.ref for span in spans(trace)]
    assert once == [span.ref for span in spans(trace)]
    assert len(set(once)) == len(once)


def test_each_variants_stages_are_told_apart() -> None:
    forwards = [
        told(span)
        for span in spans(study(records=(reading(), reading(**SILENT))))
        if span.name == "inference"
    ]
    assert [one[Attribute.VERSION] for one in forwards] == ["2", "3"]
    assert [one[Attribute.DELIVERED] for one in forwards] == [True, False]


def test_what_the_root_says_of_the_answer_is_not_said_again_at_each_stage() -> None:
    root, *children = spans(study(records=(reading(), reading(**SILENT))))
    answered, silent = [told(span) for span in children if span.name == "inference"]
    assert Attribute.DEVICE in told(root)
    assert (Attribute.DEVICE in answered, Attribute.DEVICE in silent) == (False, True)


def test_the_root_names_the_version_that_answered() -> None:
    failed = reading(
        variant="canary", version="3", outcome=Outcome.FAILED, error_code="model-error", delivered=False
    )
    root, *_ = spans(study(records=(failed, reading())))
    assert told(root)[Attribute.VERSION] == "2"
    assert told(root)[Attribute.OUTCOME] == "ok"
    assert Attribute.ERROR_CODE not in told(root)
    assert root.error is None


def test_a_failure_is_marked_on_its_stage_and_on_the_root() -> None:
    broken = study(
        outcome=Outcome.FAILED,
        error_code="source-timeout",
        records=(),
        stages=(timing(Stage.QUEUE, 0, 1), timing(Stage.FETCH, 1, 9, "source-timeout")),
    )
    by_name = {span.name: span.error for span in spans(broken)}
    assert by_name == {
        "study.process": "source-timeout",
        "queue.wait": None,
        "dicom.receive": "source-timeout",
    }


def test_a_stage_whose_process_told_no_time_has_what_was_left() -> None:
    broken = study(
        outcome=Outcome.FAILED,
        error_code="source-timeout",
        records=(),
        stages=(timing(Stage.QUEUE, 0, 1),),
        failed_at=Stage.FETCH,
    )
    *_, fetch = spans(broken)
    assert (fetch.name, fetch.error) == ("dicom.receive", "source-timeout")
    assert (fetch.start_ns, fetch.end_ns) == (T0 + MS, T0 + 100 * MS)


def test_a_callers_span_is_the_parent_where_its_trace_goes_too() -> None:
    root, child, *_ = spans(study(traceparent=CALLER), Form.CHILD_OF_CALLER)
    assert root.ref.trace_id.hex() == child.ref.trace_id.hex() == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert root.parent_id is not None
    assert root.parent_id.hex() == "00f067aa0ba902b7"
    assert child.parent_id == root.ref.span_id
    assert told(root)[Attribute.RECORD] == study().trace_id, "as an exemplar of a metric names it"


def test_a_callers_span_is_linked_where_its_trace_never_comes() -> None:
    root, *_ = spans(study(traceparent=CALLER), Form.OWN_ROOT)
    assert root.parent_id is None
    assert root.ref.trace_id.hex() == study().trace_id
    assert [link.trace_id.hex() for link in root.links] == ["4bf92f3577b34da6a3ce929d0e0e4736"]


@pytest.mark.parametrize("form", Form)
def test_a_silent_reading_is_a_trace_of_its_own_that_links_to_the_study(form: Form) -> None:
    live = study(traceparent=CALLER)
    shadow = study(records=(reading(**SILENT),), stages=(), is_live=False)
    root, *_ = spans(shadow, form, live)
    assert (root.name, root.parent_id) == ("study.shadow", None)
    assert root.links == (root_of(live, form),)
    assert root.ref.trace_id != root_of(live, form).trace_id


@pytest.mark.parametrize("form", Form)
def test_studies_of_one_forward_pass_link_to_its_span_and_it_to_them(form: Form) -> None:
    batched = reading(batch_size=2, replica="r1")
    alone = reading(batch_size=1, replica="r1")
    members = [kept(study(job_id=job, records=(batched,))) for job in ("job-1", "job-2")]
    (batch,) = batches_of([*members, kept(study(job_id="job-3", records=(alone,)))], form)
    forwards = [span for one in members for span in spans_of(one, form) if span.name == "inference"]
    assert batch.name == "inference.batch"
    assert [one.links for one in forwards] == [(batch.ref,), (batch.ref,)]
    assert batch.links == tuple(one.ref for one in forwards)
    assert (batch.start_ns, batch.end_ns) == (forwards[0].start_ns, forwards[0].end_ns)


def test_forward_passes_of_two_replicas_are_two() -> None:
    members = [kept(study(job_id=one, records=(reading(batch_size=2, replica=one),))) for one in ("r1", "r2")]
    assert len({batch.ref for batch in batches_of(members, Form.OWN_ROOT)}) == 2


def test_no_attribute_can_carry_a_patient_or_grow_without_limit() -> None:
    uid = "1.2.840.113619.2.55.3.604688119"
    slipped = study(
        site=f"DOE^JANE {uid}",
        outcome=Outcome.FAILED,
        error_code=f"failed on {uid}",
        records=(reading(device="x" * 10_000),),
    )
    text = str(spans(slipped))
    assert uid not in text
    assert "JANE" not in text
    assert "x" * 257 not in text
    names = {name for span in spans(slipped) for name in span.attributes}
    assert names <= {attribute.value for attribute in Attribute}


def wired(trace: StudyTrace) -> list[WireSpan]:
    request = ExportTraceServiceRequest.FromString(encoded(spans(trace)))
    (resource,) = request.resource_spans
    assert [(one.key, one.value.string_value) for one in resource.resource.attributes] == [
        ("service.name", "serinus")
    ]
    (scope,) = resource.scope_spans
    return list(scope.spans)


def test_on_the_wire_the_root_is_a_server_and_a_failure_an_error() -> None:
    broken = study(outcome=Outcome.FAILED, error_code="model-error", records=(), failed_at=Stage.FORWARD)
    root, *children = wired(broken)
    assert (root.kind, root.status.code, root.status.message) == (
        WireSpan.SPAN_KIND_SERVER,
        Status.STATUS_CODE_ERROR,
        "model-error",
    )
    assert {one.kind for one in children} == {WireSpan.SPAN_KIND_INTERNAL}
    assert {one.status.code for one in children[:-1]} == {Status.STATUS_CODE_OK}


def test_on_the_wire_a_value_keeps_its_type() -> None:
    root, *_ = wired(study(records=(reading(input_distance=0.5),)))
    values = {one.key: one.value for one in root.attributes}
    assert values[Attribute.DELIVERED].bool_value is True
    assert values[Attribute.SLICES].int_value == 30
    assert values[Attribute.INPUT_DISTANCE].double_value == 0.5
    assert values[Attribute.VERSION].string_value == "2"


def test_of_a_study_that_ends_before_its_stage_no_span_ends_before_it_starts() -> None:
    late = replace(study(outcome=Outcome.FAILED, error_code="x", failed_at=Stage.REPORT), end_ns=T0)
    assert all(span.start_ns <= span.end_ns for span in spans(late))


@given(
    st.dictionaries(
        st.text(max_size=300),
        st.text(max_size=300) | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(),
    ),
    st.integers(0, 2**64 - 1),
)
def test_what_is_written_is_what_protobuf_reads(attributes: dict[str, Any], at_ns: int) -> None:
    span = replace(spans(study())[0], attributes=attributes, start_ns=at_ns, end_ns=at_ns)
    request = ExportTraceServiceRequest.FromString(encoded([span, span]))
    first, second = request.resource_spans[0].scope_spans[0].spans
    assert first == second
    assert (first.start_time_unix_nano, first.end_time_unix_nano, first.name) == (at_ns, at_ns, span.name)
    values = {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in first.attributes}
    assert [repr(one) for one in values.items()] == [repr(one) for one in attributes.items()]


def test_equal_values_of_two_types_stay_apart() -> None:
    told = {"a": True, "b": 1, "c": 1.0}
    for order in (told, dict(reversed(told.items()))):
        request = ExportTraceServiceRequest.FromString(
            encoded([replace(spans(study())[0], attributes=order)])
        )
        (span,) = request.resource_spans[0].scope_spans[0].spans
        kinds = {one.key: one.value.WhichOneof("value") for one in span.attributes}
        assert kinds == {"a": "bool_value", "b": "int_value", "c": "double_value"}
