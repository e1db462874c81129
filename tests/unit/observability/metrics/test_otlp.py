"""What is sent is what is scraped, and nothing that another release counted in another form."""

from __future__ import annotations

from dataclasses import replace

import pytest
from opentelemetry.sdk.metrics.export import Histogram, Metric, Sum

from observability.metrics import instruments as of
from observability.metrics.exposition import Gauges
from observability.metrics.of_records import observations_of
from observability.metrics.otlp import metrics_data_of
from observability.metrics.series import Key, Series, folded
from tests.unit.observability.metrics.test_exposition import LIVE

NOW_NS = 10**18
SERIES = folded({}, list(observations_of(LIVE, LIVE.trace_id)), 10**6)


def sent(series: dict[Key, Series], *gauges: Gauges) -> dict[str, Metric]:
    [resource] = metrics_data_of(series, gauges, of.OF_RECORDS, NOW_NS).resource_metrics
    [scope] = resource.scope_metrics
    return {metric.name: metric for metric in scope.metrics}


def test_every_histogram_has_a_count_in_each_bucket_and_its_unit() -> None:
    metric = sent(SERIES)[of.STUDY_SECONDS.name]
    assert isinstance(metric.data, Histogram)
    [point] = metric.data.data_points
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    assert (point.count, point.sum, metric.unit) == (1, 5.0, "s")
    [exemplar] = point.exemplars
    assert (exemplar.trace_id, exemplar.value) == (int(LIVE.trace_id, 16), 5.0)


@pytest.mark.parametrize(("since_s", "told_ns"), [(0.0, 0), (7.5, 7_500_000_000), (2e9, NOW_NS)])
def test_a_series_tells_when_it_began_and_never_a_time_to_come(since_s: float, told_ns: int) -> None:
    series = {key: replace(one, since_s=since_s) for key, one in SERIES.items()}
    data = sent(series)[of.STUDIES.name].data
    assert isinstance(data, Sum)
    assert {point.start_time_unix_nano for point in data.data_points} == {told_ns}


def test_a_metric_without_a_value_is_not_sent() -> None:
    empty, told = Gauges(of.VARIANTS, {}), Gauges(of.ALARMS, {(): 2})
    assert list(sent({}, empty, told)) == [of.ALARMS.name]


@pytest.mark.parametrize(
    "key",
    [
        (of.INFERENCES.name, ("ich-triage", "2")),
        (of.STAGE_SECONDS.name, ("fetch", "CT")),
        ("serinus_of_long_ago", ()),
    ],
)
def test_what_another_release_counted_in_another_form_is_left_out(key: Key) -> None:
    assert sent({key: Series(1.0)}) == {}
