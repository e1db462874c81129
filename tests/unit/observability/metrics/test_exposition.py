"""What is scraped: read back by the parser of prometheus_client, and what one study adds to it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from observability.metrics import instruments as of
from observability.metrics.exposition import Gauges, exposition_of
from observability.metrics.of_records import observations_of
from observability.metrics.series import Series, folded
from observability.names import Stage
from observability.record import InferenceRecord, InputFacts, Outcome, StageTiming, StudyTrace

SECOND = 10**9
KEY = "st-51f0"
READ = InferenceRecord(
    KEY,
    "ich-triage",
    "2",
    "d" * 64,
    "canary",
    Outcome.OK,
    delivered=True,
    stages=(
        StageTiming(Stage.PREPARE, 2 * SECOND, 3 * SECOND),
        StageTiming(Stage.FORWARD, 3 * SECOND, 4 * SECOND),
    ),
    bytes_in=1000,
    facts=InputFacts("CT", "HEAD", scanner="Maker Model 7"),
    scores=(("1386000", 0.9), ("2", 0.1)),
    input_check="in-distribution",
)
FAILED = replace(
    READ,
    version="3",
    outcome=Outcome.FAILED,
    delivered=False,
    stages=(),
    error_code="model-error",
    role="failed",
)
LIVE = StudyTrace(
    KEY,
    0,
    5 * SECOND,
    Outcome.OK,
    (StageTiming(Stage.FETCH, 0, SECOND),),
    (replace(FAILED, bytes_in=0), READ),
    job_id="j1",
)
SHADOW = replace(LIVE, stages=(), records=(replace(READ, delivered=False, role="shadow"),), is_live=False)

LABELS = {one.name: one.labels for one in (*of.OF_RECORDS, *of.OF_NOW)}


def scraped(*traces: StudyTrace, trace_id: str | None = None) -> dict[tuple[str, tuple[str, ...]], float]:
    """The values of all samples by name and labels' values, as Prometheus reads them."""
    series = folded({}, [one for trace in traces for one in observations_of(trace, trace_id)], 10**6)
    text = exposition_of(series, [Gauges(of.JOBS, {("running",): 2})], of.OF_RECORDS)
    return {
        (
            sample.name,
            tuple(sample.labels[name] for name in (*LABELS[family.name], "le") if name in sample.labels),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_study_is_counted_once_and_each_reading_by_its_role() -> None:
    found = scraped(LIVE, SHADOW)
    assert found["serinus_studies_total", ("ich-triage", "CT", "ok", "")] == 1
    readings = {
        labels: value for (name, labels), value in found.items() if name == "serinus_inferences_total"
    }
    assert readings == {
        ("ich-triage", "2", "canary", "answered", "ok"): 1,
        ("ich-triage", "2", "canary", "shadow", "ok"): 1,
        ("ich-triage", "3", "canary", "failed", "failed"): 1,
    }


def test_times_are_told_by_stage_and_by_version() -> None:
    found = scraped(LIVE)
    assert found["serinus_study_duration_seconds_sum", ("ich-triage", "CT")] == 5
    assert found["serinus_stage_duration_seconds_sum", ("fetch", "CT")] == 1
    assert found["serinus_stage_duration_seconds_sum", ("forward", "CT")] == 1
    assert found["serinus_inference_duration_seconds_sum", ("ich-triage", "2", "canary", "answered")] == 2
    assert (
        found["serinus_inference_duration_seconds_bucket", ("ich-triage", "2", "canary", "answered", "1.0")]
        == 0
    )
    assert (
        found["serinus_inference_duration_seconds_bucket", ("ich-triage", "2", "canary", "answered", "2.5")]
        == 1
    )
    assert (
        found["serinus_inference_duration_seconds_bucket", ("ich-triage", "2", "canary", "answered", "+Inf")]
        == 1
    )


def test_what_was_said_is_counted_by_finding() -> None:
    found = scraped(LIVE)
    positives = {labels for (name, labels) in found if name == "serinus_positive_findings_total"}
    assert positives == {("ich-triage", "2", "answered", "1386000")}
    assert found["serinus_input_checks_total", ("ich-triage", "2", "in-distribution")] == 1
    assert found["serinus_received_bytes_total", ("CT",)] == 1000


def test_the_case_mix_is_of_studies_that_were_read_and_names_no_free_text() -> None:
    found = scraped(LIVE, SHADOW)
    assert found["serinus_cases_total", ("CT", "HEAD")] == 1
    assert found["serinus_scanner_cases_total", ("CT", "Maker Model 7")] == 1
    odd = InputFacts("CT", " Doe^Jane, head ", scanner="room <7>")
    found = scraped(replace(LIVE, records=(replace(READ, facts=odd),)))
    assert found["serinus_cases_total", ("CT", "other")] == 1
    assert found["serinus_scanner_cases_total", ("CT", "other")] == 1
    found = scraped(replace(LIVE, records=(replace(READ, facts=InputFacts("MR", "  brain  ")),)))
    assert found["serinus_cases_total", ("MR", "BRAIN")] == 1
    assert found["serinus_scanner_cases_total", ("MR", "unknown")] == 1


def test_studies_that_share_a_forward_are_busy_once_together() -> None:
    shared = replace(READ, device="cuda:0", batch_size=4, gpu_busy=0.75, gpu_memory=0.2)
    found = scraped(*[replace(LIVE, records=(shared,))] * 4)
    assert found["serinus_busy_seconds_total", ("ich-triage", "2", "cuda")] == 1
    assert found["serinus_forward_studies_bucket", ("ich-triage", "2", "2.0")] == 0
    assert found["serinus_forward_studies_bucket", ("ich-triage", "2", "4.0")] == 4
    assert found["serinus_gpu_busy_ratio_sum", ("ich-triage", "2")] == 3
    assert found["serinus_gpu_memory_ratio_count", ("ich-triage", "2")] == 4


def test_without_a_gpu_nothing_is_told_of_one() -> None:
    found = scraped(LIVE)
    assert found["serinus_busy_seconds_total", ("ich-triage", "2", "cpu")] == 1
    assert not [name for name, _ in found if "gpu" in name]


def test_a_series_with_the_labels_of_another_release_breaks_no_scrape() -> None:
    series = {
        (of.INFERENCES.name, ("ich-triage", "2")): Series(1.0),
        **folded({}, list(observations_of(LIVE)), 10**6),
    }
    text = exposition_of(series, [], of.OF_RECORDS)
    [family] = [one for one in text_string_to_metric_families(text) if one.name == of.INFERENCES.name]
    assert len(family.samples) == len(LIVE.records)
    assert {frozenset(sample.labels) for sample in family.samples} == {frozenset(of.INFERENCES.labels)}


def test_a_gauge_is_told_beside_them() -> None:
    assert scraped()["serinus_jobs", ("running",)] == 2


def test_a_study_that_nobody_could_read_is_counted_by_its_code() -> None:
    refused = StudyTrace(KEY, 0, SECOND, Outcome.REFUSED, error_code="no-eligible-series")
    assert (
        scraped(refused)["serinus_studies_total", ("unknown", "unknown", "refused", "no-eligible-series")]
        == 1
    )


def test_an_exemplar_leads_to_a_kept_trace() -> None:
    series = folded({}, list(observations_of(LIVE, LIVE.trace_id)), 10**6)
    text = exposition_of(series, [], of.OF_RECORDS)
    exemplars = [
        sample.exemplar
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.exemplar
    ]
    assert {one.labels["trace_id"] for one in exemplars} == {LIVE.trace_id}
    assert "trace_id" not in exposition_of(folded({}, list(observations_of(LIVE)), 10**6), [], of.OF_RECORDS)


def test_no_study_is_named() -> None:
    series = folded({}, list(observations_of(LIVE, LIVE.trace_id)), 10**6)
    text = exposition_of(series, [], of.OF_RECORDS)
    assert KEY not in text
    assert "j1" not in text


@pytest.mark.parametrize("counts", [(), (1, 2)])
def test_a_histogram_of_another_release_breaks_no_scrape(counts: tuple[int, ...]) -> None:
    series = {(of.STAGE_SECONDS.name, ("fetch", "CT")): Series(1.0, counts, (None,) * len(counts))}
    assert "fetch" not in exposition_of(series, [], of.OF_RECORDS)
