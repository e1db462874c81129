"""A look at the queue knows how long a study takes now, and whose studies come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from canary.replicas import Capacity, DueStudies
from core.errors import LedgerUnavailable
from core.priority import Priority
from ledger import StoredRecord
from observability.names import Stage
from observability.record import InferenceRecord, Outcome, StageTiming, StudyTrace
from serve_apps.control.queue_watch import REMEMBERED, QueueWatch
from tests.unit.shell.control_fakes import NOON

WAITING = (DueStudies("ich", Priority.ROUTINE, NOON, 3),)
SECOND = 10**9


def reading(version: str, forward_s: float, model: str = "ich", **more: object) -> InferenceRecord:
    """It waited for a minute before its forward."""
    forward = (60 * SECOND, int((60 + forward_s) * SECOND))
    stages = (StageTiming(Stage.WAIT, 0, forward[0]), StageTiming(Stage.FORWARD, *forward))
    whole = InferenceRecord("s", model, version, "d", "champion", Outcome.OK, True, stages)
    return replace(whole, **more)  # type: ignore[arg-type]


class Records:
    def __init__(self) -> None:
        self.stored: list[StoredRecord] = []
        self.asked: list[int] = []

    def add(self, *readings: InferenceRecord, is_live: bool = True) -> None:
        trace = StudyTrace("s", 0, SECOND, Outcome.OK, records=readings, is_live=is_live)
        self.stored.append(StoredRecord(len(self.stored) + 1, NOON, trace))

    def newest_after(self, seq: int, limit: int) -> Sequence[StoredRecord]:
        self.asked.append(seq)
        return [one for one in self.stored if one.seq > seq][-limit:]


class Waiting:
    is_away = False

    def all(self) -> tuple[DueStudies, ...]:
        if self.is_away:
            raise LedgerUnavailable("away")
        return WAITING


@pytest.fixture
def records() -> Records:
    return Records()


def watch(records: Records, waiting: Waiting | None = None) -> QueueWatch:
    return QueueWatch(waiting or Waiting(), records, lambda: Capacity(4.0), lambda: NOON)


def test_a_study_takes_what_it_kept_the_replica_busy_without_its_waits(records: Records) -> None:
    records.add(reading("1", 2.0))
    records.add(reading("1", 4.0))
    looked = watch(records)
    looked.look()
    assert looked.sight is not None
    assert looked.sight.study_s == {("ich", "1"): pytest.approx(3.0)}
    assert (looked.sight.at, looked.sight.waiting, looked.sight.capacity) == (NOON, WAITING, Capacity(4.0))


def test_what_is_read_in_silence_counts_where_nothing_else_was_read(records: Records) -> None:
    """A shadow has what cores are idle, and so takes longer."""
    records.add(reading("1", 9.0, delivered=False, role="shadow"), is_live=False)
    records.add(reading("2", 8.0, delivered=False, role="shadow"), is_live=False)
    records.add(reading("1", 1.0))
    looked = watch(records)
    looked.look()
    assert looked.sight is not None
    assert looked.sight.study_s == {("ich", "1"): pytest.approx(1.0), ("ich", "2"): pytest.approx(8.0)}
    assert looked.sight.model_shares == {"ich": 1.0}


def test_a_reading_that_failed_took_no_studys_time(records: Records) -> None:
    failed = reading("1", 30.0, delivered=False, outcome=Outcome.FAILED, error_code="model-failed")
    records.add(failed, reading("2", 1.0))
    looked = watch(records)
    looked.look()
    assert looked.sight is not None
    assert looked.sight.study_s.keys() == {("ich", "2")}


def test_each_record_is_read_once_and_old_ones_are_forgotten(records: Records) -> None:
    records.add(reading("1", 100.0))
    looked = watch(records)
    looked.look()
    for _ in range(REMEMBERED):
        records.add(reading("1", 1.0))
    for _ in range(3):
        records.add(reading("9", 1.0, model="chest"))
    looked.look()
    looked.look()
    assert records.asked == [0, 1, 4 + REMEMBERED]
    assert looked.sight is not None
    assert looked.sight.study_s["ich", "1"] == pytest.approx(1.0)
    assert looked.sight.model_shares == pytest.approx({"ich": 51 / 54, "chest": 3 / 54})


def test_while_the_ledger_is_away_the_last_sight_stays(records: Records) -> None:
    waiting = Waiting()
    looked = watch(records, waiting)
    looked.look()
    before, waiting.is_away = looked.sight, True
    with pytest.raises(LedgerUnavailable):
        looked.look()
    assert looked.sight is before is not None
