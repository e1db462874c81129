"""One study is one trace, with a span per stage and no patient in it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from opentelemetry import trace as global_trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from observability.names import Attribute, Stage
from observability.record import Outcome, StudyTrace
from observability.recorder import Recorder
from observability.telemetry import TelemetrySettings, build_telemetry, telemetry_with

from .traces import MS, T0, reading, study, timing

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass
class Export:
    recorder: Recorder
    sink: InMemorySpanExporter

    def of(self, trace: StudyTrace) -> list[ReadableSpan]:
        self.recorder.record(trace)
        return list(self.sink.get_finished_spans())


@pytest.fixture
def export() -> Export:
    sink = InMemorySpanExporter()
    return Export(Recorder(telemetry_with(SimpleSpanProcessor(sink), TelemetrySettings())), sink)


def root_of(spans: list[ReadableSpan]) -> ReadableSpan:
    [root] = [span for span in spans if span.parent is None]
    return root


def test_a_study_is_one_root_with_a_child_per_stage(export: Export) -> None:
    spans = export.of(study())
    root = root_of(spans)
    assert root.name == "serinus.study"
    assert (root.start_time, root.end_time) == (T0, T0 + 100 * MS)
    children = [span for span in spans if span is not root]
    assert [span.name for span in children] == [
        "serinus.queue",
        "serinus.fetch",
        "serinus.decode",
        "serinus.prepare",
        "serinus.forward",
    ]
    assert {span.parent.span_id for span in children if span.parent} == {root.context.span_id}
    assert len({span.context.trace_id for span in spans}) == 1
    assert (children[1].start_time, children[1].end_time) == (T0 + 5 * MS, T0 + 40 * MS)


def test_each_variants_stages_are_told_apart(export: Export) -> None:
    shadow = reading(variant="shadow-next", version="3", delivered=False)
    forwards = [s for s in export.of(study(records=(reading(), shadow))) if s.name == "serinus.forward"]
    assert [(s.attributes or {})[Attribute.VERSION] for s in forwards] == ["2", "3"]
    assert [(s.attributes or {})[Attribute.DELIVERED] for s in forwards] == [True, False]


def test_what_the_root_says_of_the_answer_is_not_said_again_at_each_stage(export: Export) -> None:
    shadow = reading(variant="shadow-next", version="3", delivered=False)
    spans = export.of(study(records=(reading(), shadow)))
    answered, silent = [span.attributes or {} for span in spans if span.name == "serinus.forward"]
    assert Attribute.DEVICE in (root_of(spans).attributes or {})
    assert (Attribute.DEVICE in answered, Attribute.DEVICE in silent) == (False, True)


def test_the_root_names_the_version_that_answered(export: Export) -> None:
    failed = reading(
        variant="canary", version="3", outcome=Outcome.FAILED, error_code="model-error", delivered=False
    )
    attributes = root_of(export.of(study(records=(failed, reading())))).attributes or {}
    assert attributes[Attribute.VERSION] == "2"
    assert attributes[Attribute.OUTCOME] == "ok"
    assert Attribute.ERROR_CODE not in attributes


def test_a_failure_is_marked_on_its_stage_and_on_the_root(export: Export) -> None:
    broken = study(
        outcome=Outcome.FAILED,
        error_code="source-timeout",
        records=(),
        stages=(timing(Stage.QUEUE, 0, 1), timing(Stage.FETCH, 1, 9, "source-timeout")),
    )
    spans = {span.name: span for span in export.of(broken)}
    assert spans["serinus.study"].status.status_code is StatusCode.ERROR
    assert spans["serinus.fetch"].status.description == "source-timeout"
    assert spans["serinus.queue"].status.status_code is StatusCode.OK


def test_a_callers_trace_is_linked_and_never_the_parent(export: Export) -> None:
    root = root_of(export.of(study(traceparent=CALLER)))
    assert root.parent is None
    assert [f"{link.context.trace_id:032x}" for link in root.links] == ["4bf92f3577b34da6a3ce929d0e0e4736"]
    assert root.context.trace_id != root.links[0].context.trace_id


@pytest.mark.parametrize("header", ["", "nonsense", f"{CALLER}x", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_a_malformed_traceparent_is_no_link_and_no_error(export: Export, header: str) -> None:
    assert root_of(export.of(study(traceparent=header))).links == ()


def test_a_span_that_is_current_in_this_thread_does_not_become_the_parent(export: Export) -> None:
    with TracerProvider().get_tracer("serve").start_as_current_span("route_to_replica"):
        assert root_of(export.of(study())).parent is None


def test_the_global_provider_stays_untouched(export: Export) -> None:
    before = global_trace.get_tracer_provider()
    export.of(study())
    assert global_trace.get_tracer_provider() is before
    assert not isinstance(before, TracerProvider)


def test_no_attribute_can_carry_a_patient_or_grow_without_limit(export: Export) -> None:
    uid = "1.2.840.113619.2.55.3.604688119"
    slipped = study(
        site=f"DOE^JANE {uid}",
        outcome=Outcome.FAILED,
        error_code=f"failed on {uid}",
        records=(reading(device="x" * 10_000),),
    )
    text = "".join(span.to_json() for span in export.of(slipped))
    assert uid not in text
    assert "JANE" not in text
    assert "x" * 257 not in text


def test_a_study_that_is_not_sampled_makes_no_span() -> None:
    sink = InMemorySpanExporter()
    telemetry = telemetry_with(SimpleSpanProcessor(sink), TelemetrySettings(sampling_ratio=0.0))
    assert Recorder(telemetry).record(study()) is None
    assert not sink.get_finished_spans()


async def test_without_an_endpoint_the_recorder_does_nothing() -> None:
    recorder = Recorder(build_telemetry(TelemetrySettings(endpoint=None)))
    assert recorder.record(study()) is None
    assert recorder.flush()
    await recorder.aclose()


def test_a_trace_has_the_id_that_its_record_knows(export: Export) -> None:
    told = study()
    assert export.recorder.record(told) == told.trace_id
    [span] = {f"{span.context.trace_id:032x}" for span in export.sink.get_finished_spans()}
    assert span == told.trace_id


def test_what_follows_has_an_id_of_its_own(export: Export) -> None:
    export.recorder.record(study())
    telemetry = export.recorder._telemetry
    assert telemetry is not None
    with telemetry.tracer.start_as_current_span("another") as span:
        assert f"{span.get_span_context().trace_id:032x}" != study().trace_id


def test_a_trace_that_cannot_be_made_is_lost_quietly() -> None:
    class Broken(SimpleSpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            raise RuntimeError("exporter broke")

    telemetry = telemetry_with(Broken(InMemorySpanExporter()), TelemetrySettings())
    assert Recorder(telemetry).record(study()) is None


def test_settings_refuse_a_ratio_beyond_one_and_hide_their_headers() -> None:
    with pytest.raises(ValueError, match="sampling_ratio"):
        TelemetrySettings(sampling_ratio=1.1)
    assert "token" not in repr(TelemetrySettings(headers={"authorization": "token"}))
