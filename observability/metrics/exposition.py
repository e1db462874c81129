"""Metrics as text that Prometheus scrapes: OpenMetrics 1.0, with exemplars, by prometheus_client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.samples import Exemplar as ExemplarSample

from observability.metrics.instruments import Instrument, Kind
from observability.metrics.series import Exemplar, Key, Series

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


@dataclass(frozen=True, slots=True)
class Gauges:
    """What is asked for at this moment: the values of one gauge by its labels."""

    instrument: Instrument
    values: Mapping[tuple[str, ...], float]


def exposition_of(series: Mapping[Key, Series], gauges: Iterable[Gauges], known: Iterable[Instrument]) -> str:
    """All of it as one text. What another release counted in another form is left out."""
    by_name = {instrument.name: instrument for instrument in known}
    registry = CollectorRegistry()
    registry.register(_Collected([*_of_series(series, by_name), *map(_of_gauges, gauges)]))
    return str(generate_latest(registry).decode())  # type: ignore[no-untyped-call]


class _Collected:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


def _of_series(series: Mapping[Key, Series], known: Mapping[str, Instrument]) -> Iterator[Metric]:
    for name, instrument in known.items():
        own = [
            (labels, value)
            for (of, labels), value in sorted(series.items(), key=lambda item: item[0])
            if of == name and instrument.fits(labels, value.counts)
        ]
        if instrument.kind is Kind.COUNTER:
            counter = CounterMetricFamily(
                name, instrument.help, labels=instrument.labels, unit=instrument.unit
            )
            for labels, value in own:
                counter.add_metric(labels, value.total)
            yield counter
        elif instrument.kind is Kind.HISTOGRAM:
            histogram = HistogramMetricFamily(
                name, instrument.help, labels=instrument.labels, unit=instrument.unit
            )
            for labels, value in own:
                histogram.add_metric(labels, _buckets(instrument, value), value.total)
            yield histogram


def _buckets(
    instrument: Instrument, series: Series
) -> list[tuple[str, float] | tuple[str, float, ExemplarSample]]:
    """Cumulative, as the format has them; an exemplar has to lie in its own bucket."""
    bounds = [*(repr(bound) for bound in instrument.buckets), "+Inf"]
    edges = pairwise(chain([float("-inf")], instrument.buckets, [float("inf")]))
    rows: list[tuple[str, float] | tuple[str, float, ExemplarSample]] = []
    for bound, (low, high), count, exemplar in zip(
        bounds, edges, accumulate(series.counts), series.exemplars, strict=True
    ):
        if exemplar is not None and low < exemplar.value <= high:
            rows.append((bound, count, _sample(exemplar)))
        else:
            rows.append((bound, count))
    return rows


def _sample(exemplar: Exemplar) -> ExemplarSample:
    return ExemplarSample({"trace_id": exemplar.trace_id}, exemplar.value, exemplar.at_s)


def _of_gauges(gauges: Gauges) -> Metric:
    instrument = gauges.instrument
    family = GaugeMetricFamily(
        instrument.name, instrument.help, labels=instrument.labels, unit=instrument.unit
    )
    for labels, value in sorted(gauges.values.items()):
        family.add_metric(labels, value)
    return family
