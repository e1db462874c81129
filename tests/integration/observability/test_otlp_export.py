"""Traces reach a real OTLP receiver, over HTTP and gRPC, whole, and without a patient in any byte of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from ledger import Ledger
from observability.names import Stage
from observability.record import InferenceRecord, InputFacts, Outcome, StageTiming, StudyTrace
from observability.redaction import Pseudonymiser
from observability.traces.sinks import BatchRefused, SinkAway
from observability.traces.spans import Form
from serve_apps.adapters.tracing import otlp_sink, trace_exports
from serve_apps.application.export_traces import TraceExport
from serve_apps.settings import Settings

from .collector import Collector, serve, serve_grpc

UID = "1.2.840.113619.2.55.3.604688119.971"
PATIENT = (UID, "CANARY^BIRD", "CANARY", "BIRD", "MRN-998877", "19800314", "bird@example.org")
CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
KEYS = Pseudonymiser(b"an integration key of 32 bytes!!")
T0 = 1_764_000_000_000_000_000
MS = 1_000_000
SECRET = "a token of the collector"


@pytest.fixture(params=["http/protobuf", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def collector(protocol: str) -> Iterator[Collector]:
    collector = Collector()
    close = serve_grpc(collector) if protocol == "grpc" else serve(collector)
    yield collector
    collector.released.set()
    close()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


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
        role="failed",
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
        scores=(("1386000", 0.93),),
        finding_names=(leak.get("finding", "Intracranial hemorrhage"),),
    )
    return StudyTrace(
        study_key=key,
        start_ns=T0,
        end_ns=T0 + 100 * MS,
        outcome=Outcome.OK,
        stages=(StageTiming(Stage.FETCH, T0, T0 + 50 * MS),),
        records=(canary, champion),
        job_id="job-1",
        site=leak.get("site", "north"),
        traceparent=f"00-{CALLER[0]}-{CALLER[1]}-01",
    )


def settings_for(collector: Collector, protocol: str, **changes: Any) -> Settings:
    return Settings(
        otlp_endpoint=collector.url,
        otlp_protocol=protocol,
        otlp_headers={"authorization": SECRET},
        **changes,
    )


def send(collector: Collector, protocol: str, ledger: Ledger, *traces: StudyTrace) -> None:
    for trace in traces:
        ledger.study_records.add(trace)
    sink = otlp_sink(settings_for(collector, protocol), collector.url)
    TraceExport("otlp", sink, Form.CHILD_OF_CALLER, ledger.traces, KEYS, 1.0).look()
    sink.close()


def test_a_trace_arrives_whole_under_the_span_of_its_caller(
    collector: Collector, protocol: str, ledger: Ledger
) -> None:
    send(collector, protocol, ledger, a_study(KEYS.study(UID)))
    names = sorted(span.name for span in collector.spans)
    assert names == ["dicom.receive", "inference", "inference", "result.store", "study.process"]
    assert {span.trace_id.hex() for span in collector.spans} == {CALLER[0]}
    (root,) = [span for span in collector.spans if span.name == "study.process"]
    assert root.parent_span_id.hex() == CALLER[1]
    assert root.start_time_unix_nano == T0
    assert {span.parent_span_id for span in collector.spans if span is not root} == {root.span_id}
    failed = [span for span in collector.spans if span.status.code == Status.STATUS_CODE_ERROR]
    assert [span.status.message for span in failed] == ["model-error"]
    assert collector.resources == [{"service.name": "serinus"}]


def test_the_headers_of_the_site_are_sent_and_never_shown(
    collector: Collector, protocol: str, ledger: Ledger
) -> None:
    send(collector, protocol, ledger, a_study("st-1"))
    assert collector.headers[0]["authorization"] == SECRET
    assert SECRET not in repr(settings_for(collector, protocol))


def test_no_byte_on_the_wire_names_the_patient(collector: Collector, protocol: str, ledger: Ledger) -> None:
    leaking = a_study(
        KEYS.study(UID),
        site=f"ward of CANARY^BIRD ({UID})",
        device="bird@example.org",
        modality="PatientID=MRN-998877",
        finding=f"seen on {UID}",
        stage_error=f"GET /dicom-web/studies/{UID}?PatientBirthDate=19800314",
        record_error="'CANARY^BIRD' 19800314",
    )
    send(collector, protocol, ledger, leaking)
    wire = b"".join(collector.bodies)
    assert KEYS.of_period(KEYS.study(UID), "2025-11").encode() in wire, "the scan must see what was sent"
    assert KEYS.study(UID).encode() not in wire, "the ledger's own name stays here"
    assert not [datum for datum in PATIENT if datum.encode() in wire]


def test_a_collector_that_hangs_gets_everything_when_it_is_back(
    collector: Collector, protocol: str, ledger: Ledger
) -> None:
    collector.hang.set()
    sink = otlp_sink(settings_for(collector, protocol), collector.url, timeout_s=0.3)
    export = TraceExport("otlp", sink, Form.CHILD_OF_CALLER, ledger.traces, KEYS, 1.0)
    for number in range(200):
        ledger.study_records.add(replace(a_study("st-1"), job_id=f"job-{number}", traceparent=None))
    started = time.perf_counter()
    export.look()
    assert time.perf_counter() - started < 4.0
    assert collector.spans == []
    collector.hang.clear()
    collector.released.set()
    export.look()
    sink.close()
    assert len({span.trace_id for span in collector.spans}) == 200


def test_a_collector_that_is_away_is_told_as_that(protocol: str) -> None:
    sink = otlp_sink(Settings(otlp_protocol=protocol), "http://127.0.0.1:9/v1/traces")
    with pytest.raises(SinkAway):
        sink.send(b"")
    sink.close()


def test_a_batch_that_the_collector_calls_wrong_is_refused(collector: Collector, protocol: str) -> None:
    collector.refuse.set()
    sink = otlp_sink(settings_for(collector, protocol), collector.url)
    with pytest.raises(BatchRefused):
        sink.send(b"")
    sink.close()


def test_both_sinks_can_be_on_at_once(tmp_path: Path, ledger: Ledger) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "pseudonym.key").write_text("ab" * 32)
    site = {"state_dir": tmp_path, "otlp_endpoint": "http://127.0.0.1:4317"}
    assert set(trace_exports(Settings(**site), ledger.traces)) == {"mlflow", "otlp"}
    assert set(trace_exports(Settings(**site, mlflow_traces=False), ledger.traces)) == {"otlp"}
    assert set(trace_exports(Settings(state_dir=tmp_path), ledger.traces)) == {"mlflow"}
