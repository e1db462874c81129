"""Metrics as OTLP: the same series as a scrape tells, as OpenTelemetry's own values, sent over HTTP.

Sums and histograms are cumulative. Each series has the time at which it began, so that whoever receives it tells a
new beginning from a restart of ours, which is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from observability.metrics.exposition import Gauges
from observability.metrics.instruments import Instrument, Kind
from observability.metrics.series import Exemplar, Key, Labels, Series
from observability.names import SERVICE

UNITS: Final[Mapping[str, str]] = {"seconds": "s", "bytes": "By", "ratio": "1", "": "1"}  # UCUM
NANO: Final = 10**9
TIMEOUT_S: Final = 5.0


def metrics_data_of(
    series: Mapping[Key, Series], gauges: Iterable[Gauges], known: Iterable[Instrument], now_ns: int
) -> MetricsData:
    """All of it, as of `now_ns` since the Unix epoch. What another release counted is left out."""
    metrics = [*_of_series(series, known, now_ns), *(_of_gauges(one, now_ns) for one in gauges if one.values)]
    scope = ScopeMetrics(InstrumentationScope(SERVICE), metrics, "")
    return MetricsData([ResourceMetrics(Resource({"service.name": SERVICE}), [scope], "")])


class OtlpMetrics:
    """Sends to a collector; `endpoint` is the full URL with its path (`…/v1/metrics`). Blocks, and never raises."""

    def __init__(self, endpoint: str, timeout_s: float = TIMEOUT_S) -> None:
        self._exporter = OTLPMetricExporter(endpoint=endpoint, timeout=timeout_s)

    def send(self, metrics: MetricsData) -> bool:
        """Whether the collector took it. What it did not take is in what is sent the next time."""
        return self._exporter.export(metrics) is MetricExportResult.SUCCESS

    def close(self) -> None:
        self._exporter.shutdown()


def _of_series(series: Mapping[Key, Series], known: Iterable[Instrument], now_ns: int) -> Iterator[Metric]:
    for instrument in known:
        own = [
            (labels, value)
            for (name, labels), value in sorted(series.items(), key=lambda item: item[0])
            if name == instrument.name and instrument.fits(labels, value.counts)
        ]
        if not own:
            continue
        if instrument.kind is Kind.HISTOGRAM:
            points = [_histogram_point(instrument, labels, value, now_ns) for labels, value in own]
            yield _metric(instrument, Histogram(points, AggregationTemporality.CUMULATIVE))
        else:
            numbers = [
                NumberDataPoint(
                    _attributes(instrument, labels), _began_ns(value, now_ns), now_ns, float(value.total)
                )
                for labels, value in own
            ]
            yield _metric(instrument, Sum(numbers, AggregationTemporality.CUMULATIVE, is_monotonic=True))


def _of_gauges(gauges: Gauges, now_ns: int) -> Metric:
    points = [
        NumberDataPoint(_attributes(gauges.instrument, labels), 0, now_ns, float(value))
        for labels, value in sorted(gauges.values.items())
    ]
    return _metric(gauges.instrument, Gauge(points))


def _metric(instrument: Instrument, points: Sum | Histogram | Gauge) -> Metric:
    return Metric(instrument.name, instrument.help, UNITS[instrument.unit], points)


def _histogram_point(
    instrument: Instrument, labels: Labels, series: Series, now_ns: int
) -> HistogramDataPoint:
    unknown = cast(Any, None)  # least and most are not kept; the wire leaves them out
    return HistogramDataPoint(
        _attributes(instrument, labels),
        _began_ns(series, now_ns),
        now_ns,
        count=series.observed,
        sum=series.total,
        bucket_counts=series.counts,
        explicit_bounds=instrument.buckets,
        min=unknown,
        max=unknown,
        exemplars=_exemplars(series.exemplars),
    )


def _exemplars(kept: Sequence[Exemplar | None]) -> list[SdkExemplar]:
    """Each with the id of its trace; the root span has no id that is known here."""
    return [
        SdkExemplar({}, one.value, int(one.at_s * NANO), span_id=0, trace_id=int(one.trace_id, 16))
        for one in kept
        if one is not None
    ]


def _attributes(instrument: Instrument, labels: Labels) -> dict[str, str]:
    return dict(zip(instrument.labels, labels, strict=True))


def _began_ns(series: Series, now_ns: int) -> int:
    """0, which is unknown, for a series that began before beginnings were kept; never after `now_ns`."""
    return min(int(series.since_s * NANO), now_ns)
