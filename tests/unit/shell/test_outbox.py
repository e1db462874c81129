"""The Outbox replica over a real ledger: a job's report and callback go out, its end is told, and it drains."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.study import StudyRef
from imaging.encoded import to_part10
from imaging.samples.synthetic import make_ct_study
from ledger import Delivery, JobRequest, JobState, Ledger
from serve_apps.deployments.outbox import Outbox
from serve_apps.settings import FolderSourceSettings, Settings

(DATASET,) = make_ct_study("outbox", slices=1, size=8)
REPORT = to_part10(DATASET)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    source = FolderSourceSettings(id="archive", kind="folder", root=tmp_path / "in", reports=tmp_path / "out")
    settings = Settings(state_dir=tmp_path / "state", sources=(source,))
    settings.paths.keys.mkdir(parents=True)
    settings.paths.callback_key.write_text("a secret")
    return settings


@pytest.fixture
async def outbox(settings: Settings) -> AsyncIterator[Any]:
    """A replica as Serve makes and ends it, without Serve."""

    class Replica(Outbox.func_or_class):  # type: ignore[misc,name-defined] # what the decorator was given
        """A class of this test's own, since its destructor is taken away at the end."""

    replica = Replica.__new__(Replica)
    await replica.__init__(settings)  # type: ignore[misc]
    yield replica
    await replica.__del__()
    Replica.__del__ = lambda self: None  # the collector comes later


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger.open(settings.ledger)


def a_finished_job(ledger: Ledger, *deliveries: Delivery) -> str:
    submitted = ledger.jobs.submit(
        JobRequest(StudyRef("archive", "1.2.3")), tenant="ris", idempotency_key=None
    )
    claimed = ledger.leases.claim(submitted.job.id, "w", 60)
    assert claimed is not None
    ledger.leases.complete(
        claimed.token,
        result={},
        documents_by_kind={"sr": REPORT},
        deliveries_to_make=deliveries,
        stages_s={},
        model="m",
    )
    return submitted.job.id


async def test_a_report_lies_at_its_source_and_the_job_is_completed(
    outbox: Any, ledger: Ledger, tmp_path: Path
) -> None:
    job = a_finished_job(ledger, Delivery("stow", "archive", "sr"))
    assert await outbox.deliver(job) is JobState.COMPLETED
    assert [path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm")] == [REPORT]
    await outbox.check_health()


async def test_a_delivery_that_nobody_could_make_is_a_dead_letter_that_is_shown(
    outbox: Any, ledger: Ledger
) -> None:
    job = a_finished_job(ledger, Delivery("stow", "archive", "seg"), Delivery("stow", "no-such-source", "sr"))
    assert await outbox.deliver(job) is JobState.COMPLETED
    assert {letter.error_code for letter in ledger.outbox.dead_letters()} == {
        "not-ready",
        "unknown-source",
    }
    assert len(ledger.jobs.get(job).undelivered) == 2


async def test_what_nobody_delivered_is_found_by_the_recovery_loop(
    outbox: Any, ledger: Ledger, tmp_path: Path
) -> None:
    job = a_finished_job(ledger, Delivery("stow", "archive", "sr"))
    async with asyncio.timeout(20):
        while ledger.jobs.get(job).state is not JobState.COMPLETED:
            await asyncio.sleep(0.05)
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 1


async def test_a_replica_whose_loop_has_ended_is_unhealthy(outbox: Any) -> None:
    outbox._loop.cancel()
    await asyncio.wait([outbox._loop])
    with pytest.raises(RuntimeError, match="has ended"):
        await outbox.check_health()
