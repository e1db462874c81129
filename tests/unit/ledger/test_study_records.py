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


def folded(ledger: Ledger) -> bool:
    """Whether the metrics took a record, once nothing that was written before can still come to light."""
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
    assert folded(ledger)
    assert not folded(ledger)
    ledger.study_records.add(LIVE)
    assert folded(ledger)
    assert studies(ledger) == 4


def test_a_fold_that_breaks_off_counts_nothing_and_is_made_up_for(ledger: Ledger) -> None:
    ledger.study_records.add(LIVE)
    with suppress(Killed), ledger.study_records.folding("metrics", 10) as (connection, _):
        connection.execute(sa.delete(metric_series))
        raise Killed
    assert folded(ledger)
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
    assert folded(ledger), "a number is never given twice"
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
    assert not folded(ledger)
    ledger.leases.fail(claimed.token, "model-error", "why", record=LIVE)
    assert folded(ledger)


def test_a_record_that_cannot_be_read_holds_up_no_other(ledger: Ledger) -> None:
    with ledger.database.write() as connection:
        for document in ("{", '{"of": "another release"}'):
            connection.execute(sa.insert(study_records).values(at=NOON, document=document))
    ledger.study_records.add(LIVE)
    assert folded(ledger)
    assert studies(ledger) == 1
    assert not ledger.study_records.are_new("metrics")


def test_what_nothing_was_added_to_for_a_month_takes_no_room(ledger: Ledger) -> None:
    ledger.study_records.add(LIVE)
    assert folded(ledger)
    assert studies(ledger) == 1
    set_time(ledger, NOON + timedelta(days=31))
    assert studies(ledger) == 0
    ledger.study_records.add(replace(LIVE, error_code="late"))
    set_time(ledger, NOON + timedelta(days=32))
    assert ledger.metrics.fold(1.0)
    with ledger.database.read() as connection:
        labels = connection.execute(
            sa.select(metric_series.c.labels).where(metric_series.c.name == STUDIES.name)
        ).scalars()
        assert [one for one in labels if "late" not in one] == []
