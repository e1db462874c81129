"""Each sink takes every record once and at its own pace; what is slow is decided once a day, for all who ask."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa

from ledger import Ledger, StoredRecord, TraceBatch
from ledger.study_records import append_record
from ledger.tables import metric_series, study_records
from observability.metrics.instruments import STUDY_SECONDS
from observability.record import Outcome, StudyTrace
from tests.unit.ledger.conftest import NOON, set_time
from tests.unit.observability.metrics.test_exposition import LIVE, SECOND, SHADOW

LATER = NOON + timedelta(minutes=1)


def add(ledger: Ledger, *traces: StudyTrace) -> None:
    """Nothing that was written before these can still come to light afterwards."""
    for trace in traces:
        ledger.study_records.add(trace)
    set_time(ledger, ledger.database.local_now() + timedelta(minutes=1))


def taken(ledger: Ledger, sink: str, limit: int = 10) -> TraceBatch | None:
    batch = ledger.traces.next(sink, limit)
    if batch is not None:
        ledger.traces.took(sink, batch.last)
    return batch


def traces(batch: TraceBatch | None) -> list[StudyTrace]:
    return [one.trace for one in batch.records] if batch else []


def numbered(count: int) -> list[StudyTrace]:
    return [replace(LIVE, job_id=f"j{number}") for number in range(count)]


def test_a_sink_takes_the_oldest_first_and_each_once(ledger: Ledger) -> None:
    told = numbered(5)
    add(ledger, *told)
    assert [traces(taken(ledger, "mlflow", 2)) for _ in range(4)] == [told[:2], told[2:4], told[4:], []]


def test_what_was_not_taken_comes_again(ledger: Ledger) -> None:
    add(ledger, LIVE)
    assert traces(ledger.traces.next("mlflow", 10)) == traces(ledger.traces.next("mlflow", 10)) == [LIVE]


def test_a_sink_that_is_away_holds_up_no_other(ledger: Ledger) -> None:
    add(ledger, LIVE)
    assert traces(taken(ledger, "otlp")) == [LIVE]
    assert traces(taken(ledger, "otlp")) == []
    assert traces(ledger.traces.next("mlflow", 10)) == [LIVE]


def test_a_batch_brings_the_live_reading_of_each_silent_one(ledger: Ledger) -> None:
    first = replace(LIVE, outcome=Outcome.FAILED, error_code="source-timeout", records=())
    add(ledger, first, LIVE, replace(LIVE, job_id="j2"))
    taken(ledger, "mlflow")
    add(ledger, SHADOW)
    batch = taken(ledger, "mlflow")
    assert traces(batch) == [SHADOW]
    assert batch is not None
    assert {job: one.trace for job, one in batch.live.items()} == {"j1": LIVE}, "the last attempt"


def test_a_silent_reading_whose_study_was_purged_comes_alone(ledger: Ledger) -> None:
    add(ledger, LIVE)
    with ledger.database.write() as connection:
        connection.execute(sa.delete(study_records))
    add(ledger, SHADOW)
    batch = taken(ledger, "mlflow")
    assert batch is not None
    assert batch.live == {}


def test_a_record_that_cannot_be_read_is_passed_over(ledger: Ledger) -> None:
    add(ledger, LIVE)
    with ledger.database.write() as connection:
        connection.execute(sa.insert(study_records).values(at=NOON, document="{}"))
    batch = taken(ledger, "mlflow")
    assert traces(batch) == [LIVE]
    assert taken(ledger, "mlflow") is None


def test_what_is_too_old_is_given_up_and_counted(ledger: Ledger) -> None:
    add(ledger, *numbered(3))
    taken(ledger, "mlflow", 1)
    set_time(ledger, NOON + timedelta(days=2))
    young = replace(LIVE, job_id="young")
    ledger.study_records.add(young)
    assert ledger.traces.pass_by("mlflow", NOON + timedelta(days=1)) == 2
    assert ledger.traces.pass_by("mlflow", NOON + timedelta(days=1)) == 0
    set_time(ledger, NOON + timedelta(days=2, minutes=1))
    assert traces(taken(ledger, "mlflow")) == [young]


def test_a_new_sink_begins_with_what_is_not_too_old_and_gives_up_nothing(ledger: Ledger) -> None:
    add(ledger, *numbered(3))
    assert ledger.traces.pass_by("otlp", LATER) == 0
    assert traces(taken(ledger, "otlp")) == []


def slow_s(ledger: Ledger) -> float | None:
    batch = taken(ledger, "mlflow")
    assert batch is not None
    record: StoredRecord = batch.records[-1]
    return batch.slow_s[record.seq].get("CT")


def many(ledger: Ledger, count: int) -> None:
    with ledger.database.write() as connection:
        for trace in numbered(count):
            append_record(connection, replace(trace, end_ns=SECOND // 2), NOON)
    set_time(ledger, LATER)
    while ledger.metrics.fold(0.0):
        pass


def test_without_a_hundred_studies_none_is_slow(ledger: Ledger) -> None:
    many(ledger, 99)
    assert slow_s(ledger) is None


def test_slow_is_above_what_ninety_nine_of_a_hundred_took(ledger: Ledger) -> None:
    many(ledger, 100)
    set_time(ledger, NOON + timedelta(days=1))
    ledger.study_records.add(LIVE)
    set_time(ledger, NOON + timedelta(days=1, minutes=1))
    taken(ledger, "mlflow", 100)
    assert slow_s(ledger) == 0.5


def test_what_a_day_calls_slow_does_not_change_with_what_comes_later(ledger: Ledger) -> None:
    many(ledger, 100)
    set_time(ledger, NOON + timedelta(days=1))
    ledger.study_records.add(LIVE)
    set_time(ledger, NOON + timedelta(days=1, minutes=1))
    while ledger.metrics.fold(0.0):
        pass
    with ledger.database.write() as connection:
        connection.execute(sa.delete(metric_series))
    taken(ledger, "mlflow", 100)
    assert slow_s(ledger) == 0.5


def test_a_slow_study_is_an_exemplar_at_a_share_of_nothing(ledger: Ledger) -> None:
    many(ledger, 100)
    set_time(ledger, NOON + timedelta(days=1))
    usual = replace(LIVE, records=LIVE.records[1:], job_id="usual", end_ns=SECOND // 2)
    usual = replace(usual, records=(replace(usual.records[0], variant="champion"),))
    slow = replace(usual, job_id="slow", end_ns=5 * SECOND)
    for trace in (usual, slow):
        ledger.study_records.add(trace)
    set_time(ledger, NOON + timedelta(days=1, minutes=1))
    ledger.metrics.fold(0.0)
    exemplars = {
        one.trace_id
        for (name, _), series in ledger.metrics.all().items()
        if name == STUDY_SECONDS.name
        for one in series.exemplars
        if one is not None
    }
    assert slow.trace_id in exemplars
    assert usual.trace_id not in exemplars
