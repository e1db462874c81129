"""Traces reach a real OTLP receiver over HTTP, whole, and without a patient in any byte of them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from observability.names import Stage
from observability.record import InferenceRecord, InputFacts, Outcome, StageTiming, StudyTrace
from observability.recorder import Recorder
from observability.redaction import Pseudonymiser
from observability.telemetry import TelemetrySettings, build_telemetry

from .collector import Collector, serve

UID = "1.2.840.113619.2.55.3.604688119.971"
PATIENT = (UID, "CANARY^BIRD", "CANARY", "BIRD", "MRN-998877", "19800314", "bird@example.org")
T0 = 1_764_000_000_000_000_000
MS = 1_000_000


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    server = serve(collector)
    yield collector
    collector.released.set()
    server.shutdown()
    server.server_close()


def a_study(key: str, **leak: str) -> StudyTrace:
    """A study with two variants, the canary failed; `leak` puts patient data where a caller might."""
    canary = InferenceRecord(
        study_key=key,
        model="ich-triage",
        version="3",
        digest="cd" * 32,
        variant="canary",
        outcome=Outcome.FAILED,
        delivered=False,
        stages=(
            StageTiming(Stage.FORWARD, T0 + 60 * MS, T0 + 70 * MS, leak.get("stage_error", "model-error")),
        ),
        error_code=leak.get("record_error", "model-error"),
    )
    champion = InferenceRecord(
        study_key=key,
        model="ich-triage",
        version="2",
        digest="ab" * 32,
        variant="champion",
        outcome=Outcome.OK,
        delivered=True,
        stages=(StageTiming(Stage.FORWARD, T0 + 70 * MS, T0 + 95 * MS),),
        device=leak.get("device", "cpu"),
        facts=InputFacts(leak.get("modality", "CT"), "HEAD", slices=30),
    )
    return StudyTrace(
        study_key=key,
        start_ns=T0,
        end_ns=T0 + 100 * MS,
        outcome=Outcome.OK,
        stages=(
            StageTiming(Stage.FETCH, T0, T0 + 50 * MS),
            StageTiming(Stage.STORE, T0 + 96 * MS, T0 + 100 * MS),
        ),
        records=(canary, champion),
        site=leak.get("site", "north"),
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )


def recorder_to(collector: Collector, **changes: float) -> Recorder:
    settings = TelemetrySettings(collector.url, {"x-mlflow-experiment-id": "7"}, **changes)
    return Recorder(build_telemetry(settings))


def key_of(uid: str) -> str:
    return Pseudonymiser(b"an integration key of 32 bytes!!").study(uid)


async def test_a_trace_arrives_whole(collector: Collector) -> None:
    recorder = recorder_to(collector)
    trace_id = recorder.record(a_study(key_of(UID)))
    await recorder.aclose()
    assert sorted(span.name for span in collector.spans) == [
        "serinus.fetch",
        "serinus.forward",
        "serinus.forward",
        "serinus.store",
        "serinus.study",
    ]
    assert {span.trace_id.hex() for span in collector.spans} == {trace_id}
    [root] = [span for span in collector.spans if not span.parent_span_id]
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == (T0, T0 + 100 * MS)
    assert [link.trace_id.hex() for link in root.links] == ["4bf92f3577b34da6a3ce929d0e0e4736"]
    assert {span.parent_span_id for span in collector.spans if span is not root} == {root.span_id}
    failed = [span for span in collector.spans if span.status.code == Status.STATUS_CODE_ERROR]
    assert [span.status.message for span in failed] == ["model-error"]


async def test_the_request_is_what_mlflow_asks_for(collector: Collector) -> None:
    recorder = recorder_to(collector)
    recorder.record(a_study(key_of(UID)))
    await recorder.aclose()
    assert collector.paths == ["/v1/traces"]
    assert collector.headers[0]["x-mlflow-experiment-id"] == "7"
    assert collector.headers[0]["content-type"] == "application/x-protobuf"
    assert collector.resources == [{"service.name": "serinus"}]


async def test_no_byte_on_the_wire_names_the_patient(collector: Collector) -> None:
    recorder = recorder_to(collector)
    recorder.record(
        a_study(
            key_of(UID),
            site=f"ward of CANARY^BIRD ({UID})",
            device="bird@example.org",
            modality="PatientID=MRN-998877",
            stage_error=f"GET /dicom-web/studies/{UID}?PatientBirthDate=19800314",
            record_error="'CANARY^BIRD' 19800314",
        )
    )
    await recorder.aclose()
    wire = b"".join(collector.bodies)
    assert key_of(UID).encode() in wire, "the scan must see what was sent"
    assert not [datum for datum in PATIENT if datum.encode() in wire]


async def test_a_collector_that_hangs_holds_nobody_up(collector: Collector) -> None:
    collector.hang.set()
    recorder = recorder_to(collector, export_timeout_s=0.3, export_delay_s=0.05)
    started = time.perf_counter()
    for number in range(200):
        recorder.record(a_study(f"st-{number}"))
    recording_s = time.perf_counter() - started
    await recorder.aclose(timeout_s=1.0)
    assert recording_s < 10.0, "each would wait for its export: a minute in all"
    assert time.perf_counter() - started < 4.0


async def test_a_collector_that_is_away_loses_traces_and_nothing_else() -> None:
    recorder = Recorder(
        build_telemetry(TelemetrySettings("http://127.0.0.1:9/v1/traces", export_timeout_s=0.3))
    )
    assert recorder.record(a_study("st-1")) is not None
    await recorder.aclose(timeout_s=2.0)
