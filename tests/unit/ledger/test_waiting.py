"""What waits for a replica: what may begin and what is being read, by model, priority and time."""

from __future__ import annotations

from datetime import timedelta

from canary.replicas import DueStudies
from core.priority import PRIORITY_DELAY_S, Priority
from core.retry import FailureClass
from ledger import Ledger
from tests.unit.ledger.conftest import NOON, after, set_time
from tests.unit.ledger.studies import arrive, claim_one, complete, submit
from tests.unit.observability.metrics.test_exposition import LIVE


def numbers(ledger: Ledger) -> dict[tuple[str, Priority], float]:
    found: dict[tuple[str, Priority], float] = {}
    for one in ledger.waiting.all():
        key = (one.model, one.priority)
        found[key] = found.get(key, 0) + one.studies
    return found


def test_nothing_waits_in_a_new_ledger(ledger: Ledger) -> None:
    assert ledger.waiting.all() == ()


def test_studies_are_told_by_model_and_priority_with_the_time_by_which_they_are_to_begin(
    ledger: Ledger,
) -> None:
    for number in range(3):
        submit(ledger, f"1.{number}", model="ich")
    submit(ledger, "2.1", model="ich", priority=Priority.BATCH)
    submit(ledger, "3.1", priority=Priority.STAT)
    told = {(one.model, one.priority): one for one in ledger.waiting.all()}
    routine = NOON + timedelta(seconds=PRIORITY_DELAY_S[Priority.ROUTINE])
    assert told["ich", Priority.ROUTINE] == DueStudies("ich", Priority.ROUTINE, routine, 3)
    assert told["ich", Priority.BATCH].due == after(3600)
    assert told["", Priority.STAT].due == NOON


def test_studies_that_came_apart_are_due_apart_to_ten_seconds(ledger: Ledger) -> None:
    for number, at in enumerate((0, 9, 60)):
        submit(ledger, f"1.{number}", after(at), model="ich")
    assert [(one.due, one.studies) for one in sorted(ledger.waiting.all(), key=lambda one: one.due)] == [
        (after(600), 2),
        (after(660), 1),
    ]


def test_a_callers_deadline_counts_where_it_is_sooner(ledger: Ledger) -> None:
    submit(ledger, "1.1", model="ich", deadline_s=30.0)
    submit(ledger, "1.2", model="ich", priority=Priority.STAT, deadline_s=30.0)
    assert {one.priority: one.due for one in ledger.waiting.all()} == {
        Priority.ROUTINE: after(30),
        Priority.STAT: NOON,
    }


def test_what_is_being_read_counts_until_it_ends(ledger: Ledger) -> None:
    submit(ledger, model="ich")
    token = claim_one(ledger)
    assert numbers(ledger) == {("ich", Priority.ROUTINE): 1}
    complete(ledger, token)
    assert ledger.waiting.all() == ()


def test_what_waits_for_its_source_or_for_more_objects_asks_for_nothing_yet(ledger: Ledger) -> None:
    submit(ledger, model="ich")
    token = claim_one(ledger)
    ledger.leases.retry(
        token, "source-unavailable", "why", at=after(60), counts=True, kind=FailureClass.SOURCE_AWAY
    )
    arrive(ledger, "i1")
    assert ledger.waiting.all() == ()
    set_time(ledger, after(61))
    assert numbers(ledger) == {("ich", Priority.ROUTINE): 1, ("ich", Priority.URGENT): 1}


def test_the_newest_records_are_told_the_oldest_first(ledger: Ledger) -> None:
    for _ in range(5):
        ledger.study_records.add(LIVE)
    assert [one.seq for one in ledger.study_records.newest_after(0, 2)] == [4, 5]
    assert [one.seq for one in ledger.study_records.newest_after(3, 10)] == [4, 5]
    assert ledger.study_records.newest_after(5, 10) == ()
