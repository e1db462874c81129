"""A reading belongs to one job: another waits for it, and gets its result."""

from __future__ import annotations

from datetime import timedelta

import pytest

from canary.same_reading import Turn
from core.errors import ResultNotReady
from ledger import Delivery, JobState, LeaseLost, Ledger
from ledger.retention import KeptFor
from tests.unit.ledger.conftest import NOON, after, set_time
from tests.unit.ledger.routed import decided, pending
from tests.unit.ledger.studies import carry, claim, claim_one, complete, submit

STORED = Delivery("stow", "pacs", "sr")


def begin(ledger: Ledger, seconds: float = 0, **more: object) -> tuple[str, str]:
    """A job in somebody's hands: its id and token."""
    job = submit(ledger, at=after(seconds), **more)
    return job.id, claim_one(ledger, after(seconds))


def turn(ledger: Ledger, token: str, key: str = "key") -> Turn:
    return ledger.readings.take_turn(token, key).turn


def test_the_first_reads_and_the_second_waits(ledger: Ledger) -> None:
    (_, first), (_, second) = begin(ledger), begin(ledger)
    assert turn(ledger, first) is Turn.READ
    assert [turn(ledger, second), turn(ledger, second)] == [Turn.WAIT, Turn.WAIT]
    assert turn(ledger, first) is Turn.READ, "a retry is no other job"


def test_who_comes_later_gets_the_result_of_the_first(ledger: Ledger) -> None:
    first_id, first = begin(ledger)
    turn(ledger, first)
    complete(ledger, first)
    _, second = begin(ledger, 60)
    taken = ledger.readings.take_turn(second, "key")
    assert (taken.turn, taken.job_id, taken.result) == (Turn.SAME, first_id, {"score": 87})


def test_another_input_version_or_rule_is_another_reading(ledger: Ledger) -> None:
    (_, first), (_, second) = begin(ledger), begin(ledger)
    assert (turn(ledger, first, "one"), turn(ledger, second, "two")) == (Turn.READ, Turn.READ)


def test_a_forced_job_waits_for_nobody_and_has_the_reading_from_then_on(ledger: Ledger) -> None:
    _, first = begin(ledger)
    turn(ledger, first)
    forced_id, forced = begin(ledger, force=True)
    assert turn(ledger, forced) is Turn.READ
    complete(ledger, forced)
    complete(ledger, first)
    _, third = begin(ledger, 5)
    assert ledger.readings.take_turn(third, "key").job_id == forced_id


@pytest.mark.parametrize("ending", ["failed", "retried", "canceled"])
def test_a_job_that_ends_without_a_result_leaves_the_reading_to_the_next(ledger: Ledger, ending: str) -> None:
    first_id, first = begin(ledger)
    turn(ledger, first)
    _, second = begin(ledger)
    if ending == "failed":
        ledger.leases.fail(first, "model-error", "it failed")
    elif ending == "retried":
        ledger.leases.retry(first, "source-unavailable", "away", at=after(300), counts=True)
    else:
        ledger.jobs.cancel(first_id)
    assert turn(ledger, second) is Turn.READ


def test_a_lost_worker_holds_nobody_up(ledger: Ledger) -> None:
    _, first = begin(ledger)
    turn(ledger, first)
    submit(ledger, at=after(9))
    (second,) = claim(ledger, after(9), 1)
    assert turn(ledger, second.token) is Turn.WAIT
    (other,) = claim(ledger, after(11), 1)  # the first job, by another worker
    assert ledger.readings.take_turn(other.token, "key").turn is Turn.READ
    assert turn(ledger, second.token) is Turn.WAIT


def test_a_job_has_one_reading_so_that_no_two_wait_for_each_other(ledger: Ledger) -> None:
    (_, first), (_, second) = begin(ledger), begin(ledger)
    turn(ledger, first, "champion"), turn(ledger, second, "canary")
    assert turn(ledger, first, "canary") is Turn.WAIT, "drawn anew after a retry"
    assert turn(ledger, second, "champion") is Turn.READ


def test_a_report_that_never_reached_its_store_is_made_again(ledger: Ledger) -> None:
    _, first = begin(ledger)
    turn(ledger, first)
    complete(ledger, first, STORED)
    (delivery,) = carry(ledger)
    _, second = begin(ledger, 1)
    assert turn(ledger, second) is Turn.SAME
    ledger.outbox.delivery_failed(delivery.id, "a", "result-store-rejected", retry_at=None)
    assert turn(ledger, second) is Turn.READ


def test_a_result_without_an_output_that_is_wanted_answers_nobody(ledger: Ledger) -> None:
    _, first = begin(ledger, outputs=("json",))
    turn(ledger, first)
    complete(ledger, first)
    _, second = begin(ledger, 1)
    assert turn(ledger, second) is Turn.READ


def test_a_version_that_answered_in_place_of_the_drawn_one_has_read_it_too(ledger: Ledger) -> None:
    first_id, first = begin(ledger)
    turn(ledger, first, "canary")
    ledger.leases.complete(
        first,
        result={},
        documents_by_kind={},
        deliveries_to_make=(),
        stages_s={},
        model="ich",
        reading="champion",
    )
    _, second = begin(ledger, 1)
    for key in ("canary", "champion"):
        assert ledger.readings.take_turn(second, key).job_id == first_id


def test_who_lost_the_lease_takes_no_turn(ledger: Ledger) -> None:
    with pytest.raises(LeaseLost):
        ledger.readings.take_turn("nobody's", "key")


def test_the_same_result_is_neither_counted_nor_delivered_again(ledger: Ledger) -> None:
    first_id, first = begin(ledger)
    ledger.leases.complete(
        first,
        result={"score": 87},
        documents_by_kind={"sr": b"DICM", "seg": b"SEG"},
        deliveries_to_make=(),
        stages_s={},
        model="ich",
        decisions=(decided(),),
        shadows=(pending(),),
        study_key="s",
    )
    second_id, second = begin(ledger, 5)
    ledger.leases.complete_as(
        second,
        first_id,
        result={"score": 87, "same_as": first_id},
        deliveries_to_make=(),
        stages_s={"fetch": 0.1},
        model="ich",
    )
    job = ledger.jobs.get(second_id)
    assert (job.state, job.same_as, job.model) == (JobState.COMPLETED, first_id, "ich")
    assert ledger.jobs.result(second_id)["same_as"] == first_id
    assert ledger.jobs.document(second_id, "sr") == b"DICM"
    with pytest.raises(ResultNotReady):
        ledger.jobs.document(second_id, "seg")  # it was not asked for
    assert ledger.decisions.of_job(second_id) == ()
    assert [task.job_id for task in ledger.shadows.claim("w", 10, 5, {"app-3"})] == [first_id]
    assert carry(ledger, after(5)) == ()


def test_who_asked_to_be_called_back_hears_of_the_same_result(ledger: Ledger) -> None:
    first_id, first = begin(ledger)
    complete(ledger, first)
    second_id, second = begin(ledger, 5)
    callback = Delivery("callback", "https://ris/done", None, {"job": second_id})
    ledger.leases.complete_as(
        second, first_id, result={}, deliveries_to_make=(callback,), stages_s={}, model="ich"
    )
    assert ledger.jobs.get(second_id).state is JobState.STORING
    assert [delivery.kind for delivery in carry(ledger, after(5))] == ["callback"]


def test_a_purged_job_leaves_no_reading(ledger: Ledger) -> None:
    _, first = begin(ledger)
    turn(ledger, first)
    complete(ledger, first)
    set_time(ledger, after(100))
    assert ledger.retention.purge(KeptFor(None, timedelta(), None), actor="retention")["jobs"] == 1
    _, second = begin(ledger, 200)
    assert after(200) > NOON
    assert turn(ledger, second) is Turn.READ
