"""From looks at replicas, traces and shadows to a report, through a real ledger: what was seen is what is billed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ledger import Ledger
from observability.cost.price_book import HOUR_NS
from observability.cost.report import Dimension
from observability.names import Stage
from observability.record import InferenceRecord, Outcome, StageTiming, StudyTrace
from serve_apps.application.costs import EPOCH, CostQuery, CostReport, CostService
from serve_apps.application.post_costs import CostPosting
from serve_apps.control.cost_looks import CostLooks, CostWorld
from serve_apps.resources import Resources
from tests.unit.observability.cost.fleets import START, at
from tests.unit.observability.cost.test_told import RECORD
from tests.unit.shell.builders import a_version

VERSION = replace(a_version(), resources=Resources(num_cpus=1.0, num_gpus=0.0))
NAME = f"session_1/SERVE_REPLICA::{VERSION.app_name}#ModelServer#ab12"
PRICES = "currency: USD\nprices:\n  - {item: cpu-core, price: 0.0036, per: hour, since: 2020-01-01}\n"
BEGUN = EPOCH + timedelta(microseconds=START // 1000)


class Hospital:
    """A controller that looks, a worker that records, and the books of both."""

    def __init__(self, folder: Path, threads: ThreadPoolExecutor) -> None:
        self.ledger, self.second = Ledger.open(f"sqlite:///{folder / 'ledger.db'}"), 0.0
        prices = folder / "prices.yaml"
        prices.write_text(PRICES)
        self.names = [NAME]
        self.posting = CostPosting(self.ledger.costs, prices, lambda: BEGUN + timedelta(seconds=self.second))
        world = CostWorld(
            living=lambda: self.names,
            versions=lambda: {VERSION.app_name: VERSION},
            is_warm=lambda app: True,
            has_gpu=lambda: False,
            reserved=lambda app, deployment: {"CPU": 0.5},
            leads=lambda: True,
            post=self.posting.look,
            clock_ns=lambda: at(self.second),
        )
        self.looks = CostLooks(world, self.ledger.costs)
        self.service = CostService(self.ledger.costs, prices, threads)

    def look(self, second: float) -> None:
        self.second = second
        self.looks.look()

    def read(self, study: str, start_s: float, end_s: float, replica: str = NAME) -> None:
        record = replace(
            RECORD, study_key=study, model=VERSION.model, replica=replica, stages=forward(start_s, end_s)
        )
        self.ledger.study_records.add(trace_of(record))
        self.ledger.costs.fold()

    async def report(self) -> CostReport:
        span = timedelta(hours=2)
        return await self.service.report(CostQuery((Dimension.LINE,), BEGUN, BEGUN + span))


def forward(start_s: float, end_s: float) -> tuple[StageTiming, ...]:
    (timing,) = (one for one in RECORD.stages if one.stage == "forward")
    return (replace(timing, start_ns=at(start_s), end_ns=at(end_s)),)


def trace_of(record: InferenceRecord) -> StudyTrace:
    return StudyTrace(record.study_key, at(0), at(1), Outcome.OK, records=(record,))


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    with ThreadPoolExecutor(1) as threads:
        opened = Hospital(tmp_path, threads)
        yield opened
        opened.ledger.close()


def core_seconds(found: CostReport) -> dict[str, float]:
    """By line: a core costs a millionth a second."""
    return {row.key[0]: row.total / 1000 for row in found.report.rows}


async def test_what_was_seen_is_what_is_billed_before_and_after_it_is_posted(hospital: Hospital) -> None:
    hospital.look(0)
    hospital.read("st-1", 10, 20)
    hospital.read("st-2", 15, 25)
    hospital.look(100)
    hospital.names = []
    hospital.look(110)
    counted = await hospital.report()
    assert core_seconds(counted) == {"primary": 15.0, "idle": 85.0, "drain": 10.0}
    assert (counted.report.agrees, counted.report.delivered, counted.unpriced) == (True, 2, ())
    assert hospital.ledger.costs.entries(START // HOUR_NS) == ()
    hospital.look(3600 + 301)
    assert len(hospital.ledger.costs.entries(START // HOUR_NS)) == 1
    assert await hospital.report() == counted


async def test_what_scaling_adds_is_marginal_and_is_billed_until_it_goes(hospital: Hospital) -> None:
    """One replica is there whatever comes; a second one is for a minute, and reads for ten seconds of it."""
    hospital.look(0)
    hospital.names = [NAME, f"{NAME}-second"]
    hospital.look(60)
    hospital.read("st-1", 70, 80, replica=f"{NAME}-second")
    hospital.names = [NAME]
    hospital.look(120)
    hospital.look(180)
    found = await hospital.report()
    assert core_seconds(found) == {"primary": 10.0, "idle": 180.0, "drain": 50.0}
    marginal = {row.key[0]: row.marginal / 1000 for row in found.report.rows}
    assert marginal == {"primary": 10.0, "idle": 0.0, "drain": 50.0}
    assert found.report.agrees


async def test_a_trace_that_comes_after_the_hour_was_posted_is_a_correction(hospital: Hospital) -> None:
    hospital.look(0)
    hospital.look(60)
    hospital.look(3600 + 301)
    hospital.read("st-late", 10, 30)
    late = await hospital.report()
    assert core_seconds(late)["primary"] == 20.0
    hospital.look(3600 + 400)
    assert len(hospital.ledger.costs.entries(START // HOUR_NS)) == 2
    assert (await hospital.report()).report.agrees
    assert core_seconds(await hospital.report())["primary"] == 20.0


READER = "session_1/SERVE_REPLICA::serinus#StudyReader#cd34"


async def test_what_the_platform_did_for_a_study_is_the_studys_and_the_rest_a_line_of_its_own(
    hospital: Hospital,
) -> None:
    hospital.names = [NAME, READER]
    hospital.look(0)
    record = replace(RECORD, model=VERSION.model, replica=NAME, stages=forward(10, 20))
    fetched = StageTiming(Stage.FETCH, at(4), at(10), replica=READER)
    hospital.ledger.study_records.add(replace(trace_of(record), stages=(fetched,)))
    hospital.ledger.costs.fold()
    hospital.look(100)
    found = await hospital.report()
    assert core_seconds(found) == {"primary": 10.0 + 3.0, "idle": 90.0, "platform": 47.0}
    assert found.report.agrees


async def test_a_reading_that_failed_pays_for_its_time_where_it_was_or_for_what_would_be_idle(
    hospital: Hospital,
) -> None:
    """One whose replica told of it, and one that nobody answered: another study was read meanwhile."""
    hospital.look(0)
    hospital.read("st-1", 40, 50)
    known = StageTiming(Stage.FORWARD, at(10), at(20), "model-failed", NAME)
    unknown = StageTiming(Stage.FORWARD, at(30), at(60), "deadline-exceeded")
    for timing in (known, unknown):
        record = replace(
            RECORD, outcome=Outcome.FAILED, delivered=False, stages=(timing,), model=VERSION.model
        )
        hospital.ledger.study_records.add(replace(trace_of(record), outcome=Outcome.FAILED))
    hospital.ledger.costs.fold()
    hospital.look(100)
    found = await hospital.report()
    assert core_seconds(found) == {"primary": 10.0, "failed": 10.0 + 20.0, "idle": 60.0}
    assert found.report.agrees
