"""Traces follow from records: kept ones reach each sink once, and a sink that is away loses none in a day."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ledger import Ledger
from observability.record import StudyTrace
from observability.redaction import Pseudonymiser
from observability.traces.sinks import BatchRefused, SinkAway
from observability.traces.spans import Form
from serve_apps.application.export_traces import PATIENCE, TraceExport
from tests.unit.ledger.conftest import NOON, Clock
from tests.unit.observability.traces import T0, reading, study

KEYS = Pseudonymiser(b"k" * 32)
POSITIVE, NEGATIVE = (("1386000", 0.9),), (("1386000", 0.1),)


@dataclass
class FakeSink:
    """Keeps what it is sent; `away` and the ids of traces it `refuses` are as a test sets them."""

    away: bool = False
    refuses: set[str] = field(default_factory=set)
    requests: list[list[Span]] = field(default_factory=list)

    def send(self, request: bytes) -> None:
        (group,) = ExportTraceServiceRequest.FromString(request).resource_spans
        spans = [one for scope in group.scope_spans for one in scope.spans]
        if self.away:
            raise SinkAway("503")
        if self.refuses & {one.trace_id.hex() for one in spans}:
            raise BatchRefused("422")
        self.requests.append(spans)

    def close(self) -> None:
        pass

    @property
    def roots(self) -> list[Span]:
        return [one for spans in self.requests for one in spans if one.name.startswith("study.")]

    @property
    def traces(self) -> list[str]:
        return [one.trace_id.hex() for one in self.roots]


@dataclass
class SiteOfSinks:
    ledger: Ledger
    clock: Clock
    sink: FakeSink

    def export(self, share: float = 1.0, sink: FakeSink | None = None, name: str = "mlflow") -> TraceExport:
        feed = self.ledger.traces
        return TraceExport(name, sink or self.sink, Form.OWN_ROOT, feed, KEYS, share, self.clock)

    def ended(self, *traces: StudyTrace) -> None:
        for trace in traces:
            self.ledger.study_records.add(trace)

    def pass_time(self, by: timedelta) -> None:
        self.clock.at += by


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteOfSinks]:
    clock = Clock(NOON)
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", clock=clock)
    yield SiteOfSinks(ledger, clock, FakeSink())
    ledger.close()


def told(span: Span) -> dict[str, str]:
    return {one.key: one.value.string_value for one in span.attributes}


def numbered(count: int, **changes: Any) -> list[StudyTrace]:
    return [study(job_id=f"job-{number}", **changes) for number in range(count)]


def silent(live: StudyTrace, **changes: Any) -> StudyTrace:
    record = reading(variant="shadow-next", version="3", delivered=False, role="shadow", **changes)
    return replace(live, stages=(), records=(record,), is_live=False)


def test_every_kept_trace_is_sent_once(site: SiteOfSinks) -> None:
    traces, export = numbered(250), site.export()
    site.ended(*traces)
    export.look()
    export.look()
    assert site.sink.traces == [one.trace_id for one in traces]
    assert len(site.sink.requests) == 3, "in batches"


def test_a_controller_that_dies_while_it_sends_loses_nothing(site: SiteOfSinks) -> None:
    site.ended(study())
    site.sink.away = True
    site.export().look()
    site.sink.away = False
    site.export().look()
    assert site.sink.traces == [study().trace_id]


def test_of_ordinary_studies_a_share_is_kept(site: SiteOfSinks) -> None:
    canary = study(job_id="canary", records=(reading(variant="canary"),))
    site.ended(study(), canary)
    site.export(0.0).look()
    assert site.sink.traces == [canary.trace_id]
    assert told(site.sink.roots[0])["serinus.kept"] == "variant"


def test_a_shadow_links_to_the_trace_of_the_study(site: SiteOfSinks) -> None:
    live = study()
    site.ended(live, silent(live))
    site.export().look()
    root, shadow = site.sink.roots
    assert (root.name, shadow.name) == ("study.process", "study.shadow")
    assert [(one.trace_id, one.span_id) for one in shadow.links] == [(root.trace_id, root.span_id)]


def test_a_shadow_that_says_otherwise_has_the_study_kept_too(site: SiteOfSinks) -> None:
    live = study(records=(reading(scores=POSITIVE),))
    other = replace(live, job_id="job-2")
    export = site.export(0.0)
    site.ended(live, other)
    export.look()
    assert site.sink.traces == []
    contradicting, agreeing = silent(live, scores=NEGATIVE), silent(other, scores=POSITIVE)
    site.ended(contradicting, agreeing)
    export.look()
    assert site.sink.traces == [live.trace_id, contradicting.trace_id, agreeing.trace_id]
    assert [told(one)["serinus.kept"] for one in site.sink.roots] == ["discordant", "discordant", "silent"]


def test_a_sink_that_is_away_is_told_of_once_and_gets_everything_later(
    site: SiteOfSinks, caplog: pytest.LogCaptureFixture
) -> None:
    traces, export = numbered(3), site.export()
    site.ended(*traces)
    site.sink.away = True
    with caplog.at_level(logging.INFO, "serinus.traces"):
        export.look()
        export.look()
        site.sink.away = False
        site.pass_time(PATIENCE - timedelta(seconds=1))
        export.look()
    assert [record.message for record in caplog.records] == ["traces.sink_away", "traces.sink_back"]
    assert site.sink.traces == [one.trace_id for one in traces]


def test_what_a_sink_did_not_take_in_a_day_is_passed_by_counted_and_told(
    site: SiteOfSinks, caplog: pytest.LogCaptureFixture
) -> None:
    export = site.export()
    site.ended(study(job_id="taken"))
    export.look()
    site.sink.away = True
    site.ended(*numbered(3))
    export.look()
    site.pass_time(PATIENCE + timedelta(seconds=1))
    young = study(job_id="young")
    site.ended(young)
    site.sink.away = False
    with caplog.at_level(logging.WARNING, "serinus.traces"):
        export.look()
    assert site.sink.traces[1:] == [young.trace_id]
    (record,) = [one for one in caplog.records if one.message == "traces.passed_by"]
    assert (vars(record)["sink"], vars(record)["records"]) == ("mlflow", 3)


def test_a_sink_that_is_away_holds_up_no_other(site: SiteOfSinks) -> None:
    other = FakeSink()
    site.ended(study())
    site.sink.away = True
    site.export().look()
    site.export(sink=other, name="otlp").look()
    assert other.traces == [study().trace_id]


def test_a_trace_that_is_refused_holds_up_no_other(
    site: SiteOfSinks, caplog: pytest.LogCaptureFixture
) -> None:
    traces = numbered(7)
    site.ended(*traces)
    site.sink.refuses = {traces[3].trace_id}
    with caplog.at_level(logging.WARNING, "serinus.traces"):
        site.export().look()
    assert site.sink.traces == [one.trace_id for one in traces if one is not traces[3]]
    assert [vars(record)["trace"] for record in caplog.records] == [traces[3].trace_id]


def test_the_writing_of_a_result_is_a_stage_of_its_trace(site: SiteOfSinks) -> None:
    site.clock.at = datetime.fromtimestamp((T0 + 130_000_000) / 1e9, NOON.tzinfo)
    site.ended(study())
    site.export().look()
    (writing,) = [one for one in site.sink.requests[0] if one.name == "result.store"]
    assert writing.start_time_unix_nano == T0 + 100_000_000
    assert abs(writing.end_time_unix_nano - T0 - 130_000_000) < 1_000_000
    assert site.sink.roots[0].end_time_unix_nano == writing.end_time_unix_nano


def test_a_study_has_another_name_each_month_and_never_that_of_the_ledger(site: SiteOfSinks) -> None:
    month_ns = 31 * 24 * 3600 * 10**9
    later = replace(study(), start_ns=T0 + month_ns, end_ns=T0 + month_ns, stages=(), records=())
    site.ended(study(), study(job_id="job-2"), later)
    site.export().look()
    first, same, other = [told(one)["serinus.study.name"] for one in site.sink.roots]
    assert first == same == KEYS.of_period(study().study_key, "2025-11")
    assert other != first
    assert study().study_key not in str(site.sink.requests)
