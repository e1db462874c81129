"""A site tells fewer than 2,000 series, whatever comes, and what a large one needs has room in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from core.priority import Priority
from ledger import DriftSeen, HourOfCosts, Ledger, SignalSeen, SpentOn, StoredVerdict
from observability.cost.price_book import PriceBook
from observability.drift.verdict import DriftState
from observability.metrics.funnel import Step, StudyMark
from observability.metrics.instruments import API_ERRORS, OF_NOW, OF_RECORDS, Kind
from observability.metrics.series import OTHER, Observation
from observability.names import Stage
from observability.record import InferenceRecord, InputFacts, Outcome, StageTiming, StudyTrace
from serve_apps.api.problems import STATUS_BY_CODE
from serve_apps.application.cost_gauges import CostGauges
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.site import Site

BUDGET = 2000
SECOND = 10**9
OF_STUDY = (Stage.QUEUE, Stage.FETCH, Stage.DECODE, Stage.SELECT, Stage.REPORT)
OF_VERSION = (Stage.PREPARE, Stage.WAIT, Stage.FORWARD, Stage.INTERPRET)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


def timings(stages: tuple[Stage, ...]) -> tuple[StageTiming, ...]:
    return tuple(StageTiming(stage, 0, SECOND) for stage in stages)


def a_reading(model: str, version: str, variant: str, role: str, facts: InputFacts) -> StudyTrace:
    """Of a version on a GPU, with everything that a record can hold."""
    record = InferenceRecord(
        f"st-{model}",
        model,
        version,
        "d" * 64,
        variant,
        Outcome.OK,
        delivered=role == "answered",
        stages=timings(OF_VERSION),
        bytes_in=1000,
        device="cuda:0",
        facts=facts,
        scores=(("1386000", 0.9),),
        input_check="in-distribution",
        role=role,
        gpu_busy=0.5,
        gpu_memory=0.5,
    )
    return StudyTrace(
        f"st-{model}", 0, SECOND, Outcome.OK, timings(OF_STUDY), (record,), is_live=role == "answered"
    )


def add(ledger: Ledger, traces: list[StudyTrace]) -> None:
    for trace in traces:
        ledger.study_records.add(trace)
    marks = [
        StudyMark(f"st-{model}-{priority}", model, step, priority.value, 60.0)
        for model in sorted({record.model for trace in traces for record in trace.records})
        for step in Step
        for priority in Priority
    ]
    ledger.study_marks.add(marks)
    while ledger.metrics.fold(1.0):
        pass


def stand(site: Site, models: Iterable[str], folder: Path) -> None:
    """Each model has a champion whose drift is judged, and costs of every line."""
    snapshot = a_snapshot(*(a_version("1", model) for model in models))
    site.snapshot = replace(
        snapshot, variants=tuple(replace(v, replicas_wanted=1) for v in snapshot.variants)
    )
    signals = tuple(SignalSeen(f"signal-{number}", number / 10, 0.1) for number in range(25))
    seen = DriftSeen(DriftState.WATCH, "It moved.", 3.6, 20_000, signals)
    for model in models:
        site.ledger.drift_verdicts.keep(StoredVerdict(model, "1", 1, 20_001, None, seen), actor="controller")
    book = folder / "prices.yaml"
    book.write_text("currency: USD\nprices:\n  - {item: cpu-core, price: 1, per: hour, since: 2020-01-01}\n")
    site.cost_gauges = CostGauges(Books(tuple(models)), book)


class Books:
    """Each hour had costs of every line of each model."""

    def __init__(self, models: Sequence[str]) -> None:
        lines = ("primary", "canary", "retry", "failed", "shadow", "review", "egress", "storage", "idle")
        self.spent = {SpentOn(model, line, line): 10**6 for model in models for line in lines}

    def by_hour(self, first: int, end: int, book: PriceBook) -> Mapping[int, HourOfCosts]:
        return dict.fromkeys(
            range(first, end), HourOfCosts(self.spent, {"cpu-core": sum(self.spent.values())})
        )


async def scraped(site: Site) -> list[tuple[str, dict[str, str]]]:
    async with site.client() as http:
        answer = await http.get("/metrics")
    return [
        (family.name, dict(sample.labels))
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    ]


async def test_three_models_each_with_a_rollout_on_gpus_lose_nothing_to_other(
    site: Site, tmp_path: Path
) -> None:
    models = {"ich-triage": ("CT",), "mr-lesions": ("MR",), "chest": ("CR", "DX")}
    read = [
        a_reading(
            model, version, variant, role, InputFacts(modality, part, scanner=f"Maker {modality} {number}")
        )
        for model, modalities in models.items()
        for modality, part, number in product(modalities, ("HEAD", "CHEST", "SPINE", ""), range(4))
        for version, variant, role in (
            ("1", "champion", "answered"),
            ("2", "canary", "answered"),
            ("2", "canary", "shadow"),
        )
    ]
    failed = [
        replace(read[0], outcome=Outcome.FAILED, error_code=code, records=())
        for code in ("source-unavailable", "model-error", "no-eligible-series", "worker-lost")
    ]
    add(site.ledger, [*read, *failed])
    codes = list(STATUS_BY_CODE.items())[:30]
    site.ledger.metrics.add([Observation(API_ERRORS, (code, str(status)), 1) for code, status in codes])
    stand(site, models, tmp_path)
    found = await scraped(site)
    told = {name for name, _ in found}
    assert told >= {one.name for one in OF_RECORDS}, "everything is on"
    assert told >= {one.name for one in OF_NOW} - {"serinus_pending_shadows", "serinus_rollout_weight_ratio"}
    assert len(found) < BUDGET
    assert not [labels for _, labels in found if OTHER in labels.values()]


async def test_whatever_comes_a_site_stays_below_its_budget(site: Site, tmp_path: Path) -> None:
    read = [
        a_reading(
            f"model-{n % 20}",
            str(n),
            "champion",
            "answered",
            InputFacts(f"M{n % 40}", f"PART {n}", scanner=f"S {n}"),
        )
        for n in range(400)
    ]
    failed = [
        replace(read[0], outcome=Outcome.FAILED, error_code=f"code-{n}", records=()) for n in range(400)
    ]
    add(site.ledger, [*read, *failed])
    site.ledger.metrics.add([Observation(API_ERRORS, (f"code-{n}", "500"), 1) for n in range(400)])
    stand(site, [f"model-{n}" for n in range(20)], tmp_path)
    found = await scraped(site)
    assert 1000 < len(found) < BUDGET
    series = site.ledger.metrics.all()
    for instrument in (
        one
        for one in OF_RECORDS
        if one.kind is Kind.COUNTER and one.name in ("serinus_cases", "serinus_api_errors")
    ):
        assert sum(value.total for (name, _), value in series.items() if name == instrument.name) == 400
