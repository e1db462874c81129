"""A study that is read again gets a report that supersedes the former one, and a retry gets the same report."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from io import BytesIO

import pydicom

from canary.gates import SitePolicy
from core.priority import QueueOrder
from core.study import StudyRef
from imaging.finding import Prediction
from imaging.report_sr import FormerReport, ReportContext
from ledger import FormerReports
from observability.redaction import Pseudonymiser
from serve_apps.application.analyse_study import Analysis, SiteRules, StudyOrder, Workplace, analyse_study
from serve_apps.application.messages import FetchedStudy, FetchRequest, Inference, ServedVersion
from serve_apps.application.priority_gate import PriorityGate
from serve_apps.application.report import failure_report_of
from tests.reports import CREATED, STAMP, classification, source
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.inline import Here
from tests.unit.shell.worker_fakes import Deployments, a_study

CT = source(slices=3)
CONTEXT = ReportContext.of(CT)
RULES = SiteRules(
    site="site",
    policy=SitePolicy.RESEARCH,
    keys=Pseudonymiser(b"k" * 32),
    fetch_s=10.0,
    fetch_call_s=20.0,
    forward_s=60.0,
    stable_reserve_s=5.0,
    canary_timeout_s=30.0,
)
ORDER = StudyOrder(StudyRef("pacs", "1.2.3"), QueueOrder(0, CREATED), None, ("json", "sr"), CREATED)


class Hospital(Deployments):
    """One CT, and what its model says of it."""

    def __init__(self, said: Prediction) -> None:
        super().__init__()
        self.said = said

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy:
        return replace(a_study(), context=CONTEXT, geometry=CT.geometry)

    async def predict(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float, order: QueueOrder
    ) -> Inference:
        return Inference(self.said, (), "cpu")


class Reports:
    """The reports of earlier jobs."""

    def __init__(self, sr: bytes | None, failure_sr: bytes | None = None) -> None:
        self.standing = FormerReports(sr, failure_sr)
        self.asked: list[tuple[str, str, datetime]] = []

    async def former(self, study_uid: str, model: str, before: datetime) -> FormerReports:
        self.asked.append((study_uid, model, before))
        return self.standing


async def read(order: StudyOrder, reports: Reports, *, research_only: bool = False) -> Analysis:
    snapshot = a_snapshot(replace(a_version("1"), research_only=research_only))
    hospital = Hospital(classification(CT, stamp=STAMP))
    place = Workplace(lambda: snapshot, hospital, RULES, Here(), former_reports=reports.former)
    async with PriorityGate(1).slot(order.queue) as slot:
        return await analyse_study(order, place, slot)


async def test_a_study_that_is_read_after_the_clearance_supersedes_the_research_report() -> None:
    first = await read(ORDER, Reports(None), research_only=True)
    reports = Reports(first.documents["sr"])
    later = await read(ORDER, reports)
    assert first.result.sr_sop_instance_uid != later.result.sr_sop_instance_uid
    stored = pydicom.dcmread(BytesIO(later.documents["sr"]))
    (study,) = stored.PredecessorDocumentsSequence
    superseded = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert superseded == first.result.sr_sop_instance_uid
    assert reports.asked == [("1.2.3", "ich-triage", CREATED)]


async def test_a_study_that_is_read_again_with_the_same_outcome_keeps_its_report() -> None:
    first = await read(ORDER, Reports(None))
    for day in (1, 2, 3):
        later = replace(ORDER, created_at=CREATED + timedelta(days=day, microseconds=day))
        again = await read(later, Reports(first.documents["sr"]))
        assert again.documents == first.documents
        assert again.result.sr_sop_instance_uid == first.result.sr_sop_instance_uid
        first = again


async def test_a_report_that_superseded_another_is_kept_too() -> None:
    research = await read(ORDER, Reports(None), research_only=True)
    later = replace(ORDER, created_at=CREATED + timedelta(days=1))
    cleared = await read(later, Reports(research.documents["sr"]))
    again = await read(
        replace(ORDER, created_at=CREATED + timedelta(days=2)),
        Reports(cleared.documents["sr"]),
    )
    assert again.documents == cleared.documents


def superseded_by(content: bytes) -> set[str]:
    return {name.instance_uid for name in FormerReport.of(content).predecessors}


async def test_a_result_supersedes_the_report_that_there_was_none_and_what_stood_before_it() -> None:
    """It does so even when it says what the last result said: that one stands beside a failure."""
    first = await read(ORDER, Reports(None))
    failed = failure_report_of(STAMP, CONTEXT, "it failed", CREATED, FormerReports(first.documents["sr"]))
    later = await read(
        replace(ORDER, created_at=CREATED + timedelta(days=1)),
        Reports(first.documents["sr"], failed.content),
    )
    assert superseded_by(failed.content) == set()
    assert superseded_by(later.documents["sr"]) == {
        first.result.sr_sop_instance_uid,
        FormerReport.of(failed.content).name.instance_uid,
    }


async def test_a_retry_of_one_job_gives_the_same_bytes() -> None:
    first, again = [await read(ORDER, Reports(None)) for _ in range(2)]
    assert first.documents == again.documents
    assert first.documents["sr"] == again.documents["sr"] != b""


async def test_who_wants_no_report_asks_for_no_former_one() -> None:
    reports = Reports(None)
    await read(replace(ORDER, outputs=("json",)), reports)
    assert reports.asked == []
