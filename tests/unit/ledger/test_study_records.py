"""A record is written with the end that it tells of, and each view takes every record once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from core.study import StudyRef
from ledger import JobRequest, LeaseLost, Ledger
from ledger.tables import folds, metric_series, study_records
from observability.metrics.instruments import STUDIES
from tests.unit.ledger.conftest import NOON, set_time
from tests.unit.observability.metrics.test_exposition import LIVE, SHADOW

LABELS = ("ich-triage", "CT", "ok", "")


def folded(ledger: Ledger) -> int:
    """How many records the metrics took, once nothing that was written before can still come to light."""
    set_time(ledger, NOON + timedelta(minutes=ledger.study_records.newest))
    return ledger.metrics.fold(1.0)


class Killed(Exception):
    """The process ends in the middle of a transaction."""


def studies(ledger: Ledger) -> float:
    series = ledger.metrics.all().get((STUDIES.name, LABELS))
    return series.total if series else 0.0


def test_each_record_counts_once_however_often_one_folds(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.study_records.add(LIVE)
    assert folded(ledger) == 3
    assert folded(ledger) == 0
    ledger.study_records.add(LIVE)
    assert folded(ledger) == 1
    assert studies(ledger) == 4


def test_a_fold_that_breaks_off_counts_nothing_and_is_made_up_for(ledger: Ledger) -> None:
    ledger.study_records.add(LIVE)
    with suppress(Killed), ledger.study_records.folding("metrics", 10) as (connection, _):
        connection.execute(sa.delete(metric_series))
        raise Killed
    assert folded(ledger) == 1
    assert studies(ledger) == 1


def test_views_do_not_wait_for_each_other(ledger: Ledger) -> None:
    ledger.study_records.add(SHADOW)
    set_time(ledger, NOON + timedelta(minutes=1))
    with ledger.study_records.folding("another", 10) as (_, records):
        assert [one.trace for one in records] == [SHADOW]
    assert ledger.study_records.are_new("metrics")
    assert not ledger.study_records.are_new("another")


def test_metrics_outlive_the_records_they_were_made_of(ledger: Ledger) -> None:
    ledger.study_records.add(LIVE)
    folded(ledger)
    with ledger.database.write() as connection:
        connection.execute(sa.delete(study_records))
    ledger.study_records.add(replace(LIVE, job_id="j2"))
    assert folded(ledger) == 1, "a number is never given twice"
    assert studies(ledger) == 2


def test_some_at_a_time(ledger: Ledger) -> None:
    for _ in range(5):
        ledger.study_records.add(LIVE)
    taken = []
    for _ in range(3):
        set_time(ledger, NOON + timedelta(minutes=1))
        with ledger.study_records.folding("slow", 2) as (_, records):
            taken.append(len(records))
    assert taken == [2, 2, 1]
    with ledger.database.read() as connection:
        assert connection.execute(sa.select(folds.c.seq).where(folds.c.name == "slow")).scalar_one() == 5


def test_the_record_of_a_job_is_written_with_its_end_or_not_at_all(ledger: Ledger) -> None:
    request = JobRequest(StudyRef("pacs", "1.2.3"))
    job = ledger.jobs.submit(request, idempotency_key=None, tenant="ris").job
    claimed = ledger.leases.claim(job.id, "w", 30.0)
    assert claimed is not None
    with pytest.raises(LeaseLost):
        ledger.leases.fail("another token", "model-error", "why", record=LIVE)
    assert folded(ledger) == 0
    ledger.leases.fail(claimed.token, "model-error", "why", record=LIVE)
    assert folded(ledger) == 1
