"""A study that could not be analysed gets an SR that says so, where it is asked for and can be made."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

import pydicom
import pytest

from canary.routing_table import BASIS_POINTS
from core.errors import (
    BrokenGeometry,
    InputOutOfDistribution,
    LedgerUnavailable,
    ModelFailed,
    UnsupportedSeries,
)
from core.retry import RetryPolicy
from imaging.evidence import encode_evidence
from imaging.report_sr import FormerReport, ReportContext
from ledger import Delivery, FormerReports, Job, JobState
from serve_apps.application.messages import UnreadSeries
from tests.reports import named, source
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.worker_fakes import Workshop, a_job, a_study

CT = source(slices=3)
ONCE = RetryPolicy(model_failed_attempts=1)
CLEARED = replace(a_version("1"), may_answer=True, research_only=False)
CANARY = replace(a_version("2"), may_answer=True)
WANTS = a_job(outputs=("json", "sr", "failure-sr"))
COMMENT, SUMMARY = "121106", "111017"


def a_shop(job: Job, snapshot: Any = None, policy: RetryPolicy = ONCE, **how: Any) -> Workshop:
    """One in which version 1 does not get through."""
    shop = Workshop(job, policy=policy, snapshot=snapshot or a_snapshot(CLEARED), **how)
    shop.deployments.study = replace(a_study(), context=ReportContext.of(CT), geometry=CT.geometry)
    shop.deployments.predict_errors = {"1": [ModelFailed("NaN")] * 2, "2": [ModelFailed("zeros")]}
    return shop


async def failed(shop: Workshop, job: Job = WANTS) -> tuple[dict[str, bytes], tuple[Delivery, ...]]:
    """The documents and deliveries of the job, which fails."""
    assert (await shop.runner.run(job.id, job.place)).state is JobState.FAILED
    ((call, written),) = shop.ledger.written
    assert call == "fail"
    return written["documents_by_kind"], written["deliveries_to_make"]


async def test_who_asks_for_it_gets_an_sr_that_says_why_there_is_no_result() -> None:
    shop = a_shop(WANTS)
    documents, deliveries = await failed(shop)
    stored = pydicom.dcmread(BytesIO(documents["failure-sr"]))
    assert [item.TextValue for item in named(stored, COMMENT)] == ["NaN (model-error)"]
    assert stored.StudyInstanceUID == pydicom.dcmread(BytesIO(CT.evidence)).StudyInstanceUID
    assert stored.SeriesDescription == "AI: ich-triage 1 (unverified)"
    assert deliveries == (Delivery("stow", "pacs", "failure-sr"),)
    assert ("deliver", WANTS.id) in shop.notes.told


@pytest.mark.parametrize(
    ("outputs", "by_default", "made"),
    [
        (("json", "sr"), False, False),
        (("json", "sr"), True, True),
        (("json",), True, False),
        (("json", "failure-sr"), False, True),
    ],
)
async def test_the_site_or_the_caller_asks_for_it(
    outputs: tuple[str, ...], by_default: bool, made: bool
) -> None:
    job = replace(WANTS, outputs=outputs)
    documents, deliveries = await failed(a_shop(job, failure_sr=by_default), job)
    assert (bool(documents), bool(deliveries)) == (made, made)


async def test_a_study_that_could_not_be_read_has_no_sr_and_its_caller_hears_of_it_all_the_same() -> None:
    job = replace(WANTS, callback="https://ris/done")
    shop = a_shop(job)
    shop.deployments.fetch_errors = [UnsupportedSeries("no series")]
    documents, deliveries = await failed(shop, job)
    assert documents == {}
    assert [delivery.kind for delivery in deliveries] == ["callback"]


def a_gap() -> BrokenGeometry:
    error = BrokenGeometry("a slice is missing")
    error.unread = UnreadSeries("ich-triage", ReportContext.of(CT))
    return error


async def test_a_series_that_became_no_volume_gets_one_in_the_champions_name() -> None:
    shop = a_shop(WANTS)
    shop.deployments.fetch_errors = [a_gap()]
    documents, deliveries = await failed(shop)
    stored = pydicom.dcmread(BytesIO(documents["failure-sr"]))
    assert [item.TextValue for item in named(stored, COMMENT)] == ["a slice is missing (geometry-invalid)"]
    assert stored.SeriesDescription == "AI: ich-triage 1 (unverified)"
    assert deliveries == (Delivery("stow", "pacs", "failure-sr"),)


async def test_it_gets_none_in_the_name_of_a_champion_who_may_not_answer() -> None:
    shop = a_shop(WANTS, a_snapshot(replace(CLEARED, may_answer=False)))
    shop.deployments.fetch_errors = [a_gap()]
    assert await failed(shop) == ({}, ())


async def test_a_job_that_is_tried_again_says_nothing_yet() -> None:
    shop = a_shop(WANTS, policy=RetryPolicy())
    assert (await shop.runner.run(WANTS.id, WANTS.place)).state is JobState.QUEUED
    ((call, written),) = shop.ledger.written
    assert (call, "documents_by_kind" in written) == ("retry", False)


async def test_it_names_the_champion_who_was_asked_last_and_no_uncleared_version() -> None:
    shop = a_shop(WANTS, a_snapshot(CLEARED, canary=CANARY, weight_bp=BASIS_POINTS))
    documents, _ = await failed(shop)
    stored = pydicom.dcmread(BytesIO(documents["failure-sr"]))
    assert stored.SeriesDescription == "AI: ich-triage 1 (unverified)"

    withdrawn = a_snapshot(replace(CLEARED, may_answer=False))
    documents, deliveries = await failed(a_shop(WANTS, withdrawn))
    assert (documents, deliveries) == ({}, ())


async def test_a_version_for_research_says_so_in_it() -> None:
    documents, _ = await failed(a_shop(WANTS, a_snapshot(replace(CLEARED, research_only=True))))
    assert "research" in pydicom.dcmread(BytesIO(documents["failure-sr"])).SeriesDescription.lower()


async def test_the_same_failure_again_is_not_stored_again_unless_it_is_forced() -> None:
    """A PACS that sends a study on whenever something is stored in it would do so for ever."""
    first, _ = await failed(a_shop(WANTS))
    for force, number in ((False, 0), (True, 1)):
        job = replace(WANTS, force=force)
        shop = a_shop(job)
        shop.former = FormerReports(failure_sr=first["failure-sr"])
        again, deliveries = await failed(shop, job)
        assert again == first
        assert len(deliveries) == number


async def test_another_failure_supersedes_the_former_one() -> None:
    first, _ = await failed(a_shop(WANTS))
    shop = a_shop(WANTS)
    shop.former = FormerReports(failure_sr=first["failure-sr"])
    shop.deployments.predict_errors = {"1": [InputOutOfDistribution("unlike all it knows")]}
    documents, deliveries = await failed(shop)
    assert FormerReport.of(documents["failure-sr"]).predecessors == (
        FormerReport.of(first["failure-sr"]).name,
    )
    assert len(deliveries) == 1


async def test_a_ledger_that_is_away_delays_the_report_and_does_not_lose_it() -> None:
    shop = a_shop(WANTS)
    answers = [LedgerUnavailable("away"), LedgerUnavailable("away")]

    async def former(*asked: Any) -> FormerReports:
        if answers:
            raise answers.pop()
        return FormerReports()

    shop.former_reports = former  # type: ignore[method-assign]
    documents, _ = await failed(shop)
    assert "failure-sr" in documents
    assert len(shop.slept) == 2


async def test_a_header_that_no_report_can_repeat_does_not_keep_the_job_from_ending() -> None:
    shop = a_shop(WANTS)
    header = pydicom.dcmread(BytesIO(CT.evidence))
    del header.StudyInstanceUID
    broken = replace(ReportContext.of(CT), evidence=encode_evidence(header))
    shop.deployments.study = replace(a_study(), context=broken, geometry=CT.geometry)
    assert await failed(shop) == ({}, ())
