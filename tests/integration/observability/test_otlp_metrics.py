"""Metrics reach a real OTLP receiver over HTTP, and are the numbers that a scrape tells."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, HistogramDataPoint, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from observability.metrics.otlp import OtlpMetrics
from serve_apps.control.metrics_export import MetricsExport
from tests.unit.observability.metrics.test_exposition import KEY, LIVE, SHADOW
from tests.unit.shell.site import Site

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Collector:
    """What it received, decoded; `status` is what it answers."""

    url: str = ""
    status: int = 200
    requests: list[ExportMetricsServiceRequest] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def metrics(self) -> dict[str, Metric]:
        """Of the last request, by name."""
        [resource] = self.requests[-1].resource_metrics
        [scope] = resource.scope_metrics
        return {metric.name: metric for metric in scope.metrics}


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/metrics"
            collector.bodies.append(body)
            collector.requests.append(ExportMetricsServiceRequest.FromString(body))
            self.send_response(collector.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_port}/v1/metrics"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield collector
    server.shutdown()
    server.server_close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    for trace in (LIVE, SHADOW, replace(LIVE, job_id="j2")):
        site.ledger.study_records.add(trace)
    while site.ledger.metrics.fold(1.0):
        pass
    yield site
    site.close()


def export_of(site: Site, collector: Collector, leads: bool = True) -> MetricsExport:
    return MetricsExport(
        site.services.metrics.now, lambda: leads, OtlpMetrics(collector.url), ThreadPoolExecutor(1)
    )


def labelled(attributes: list[KeyValue]) -> frozenset[tuple[str, str]]:
    return frozenset((one.key, one.value.string_value) for one in attributes)


def received(collector: Collector) -> Samples:
    """As a scrape names them: counters by `_total`, of histograms every bucket, the count and the sum."""
    found: Samples = {}
    for name, metric in collector.metrics.items():
        for point in metric.gauge.data_points:
            found[name, labelled(list(point.attributes))] = point.as_double
        for point in metric.sum.data_points:
            found[f"{name}_total", labelled(list(point.attributes))] = point.as_double
        for histogram in metric.histogram.data_points:
            found |= _of_histogram(name, histogram)
    return found


def _of_histogram(name: str, point: HistogramDataPoint) -> Samples:
    labels = labelled(list(point.attributes))
    bounds = [*(repr(bound) for bound in point.explicit_bounds), "+Inf"]
    below = [sum(point.bucket_counts[: place + 1]) for place in range(len(bounds))]
    buckets = {
        (f"{name}_bucket", labels | {("le", bound)}): float(number)
        for bound, number in zip(bounds, below, strict=True)
    }
    return buckets | {(f"{name}_count", labels): float(point.count), (f"{name}_sum", labels): point.sum}


async def scraped(site: Site) -> Samples:
    async with site.client() as http:
        text = (await http.get("/metrics")).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_collector_receives_the_numbers_of_a_scrape(site: Site, collector: Collector) -> None:
    assert await export_of(site, collector).once()
    told = await scraped(site)
    assert received(collector) == told
    assert len(told) > 100
    assert told["serinus_funnel_total", frozenset({("model", "ich-triage"), ("step", "processed")})] == 1


async def test_sums_are_cumulative_from_a_beginning_that_does_not_move(
    site: Site, collector: Collector
) -> None:
    export = export_of(site, collector)
    began: list[set[int]] = []
    for job in ("j3", "j4"):
        assert await export.once()
        metrics = collector.metrics
        assert metrics["serinus_studies"].sum.is_monotonic
        sums = (metrics["serinus_studies"].sum, metrics["serinus_study_duration_seconds"].histogram)
        for kind in sums:
            assert kind.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        points = [point for kind in sums for point in kind.data_points]
        assert all(0 < point.start_time_unix_nano < point.time_unix_nano for point in points)
        began.append({point.start_time_unix_nano for point in points})
        site.ledger.study_records.add(replace(LIVE, job_id=job))
        site.ledger.metrics.fold(1.0)
    assert began[0] == began[1]
    restarted = export_of(site, collector)
    assert await restarted.once()
    [point] = collector.metrics["serinus_studies"].sum.data_points
    assert (point.as_double, {point.start_time_unix_nano}) == (4, began[0])


async def test_an_exemplar_leads_to_the_trace_and_no_byte_names_the_study(
    site: Site, collector: Collector
) -> None:
    assert await export_of(site, collector).once()
    [point] = collector.metrics["serinus_study_duration_seconds"].histogram.data_points
    traces = {LIVE.trace_id, replace(LIVE, job_id="j2").trace_id}
    assert {one.trace_id.hex() for one in point.exemplars} <= traces
    assert point.exemplars
    assert KEY.encode() not in b"".join(collector.bodies)


async def test_who_does_not_lead_sends_nothing(site: Site, collector: Collector) -> None:
    assert not await export_of(site, collector, leads=False).once()
    assert not collector.requests


async def test_a_collector_that_takes_nothing_and_a_ledger_that_is_away_end_no_loop(
    site: Site, collector: Collector
) -> None:
    collector.status = 400
    export = export_of(site, collector)
    assert not await export.once()
    collector.status = 200
    assert await export.once()
    site.lose_the_ledger()
    assert not await export.once()
    assert len(collector.requests) == 2
