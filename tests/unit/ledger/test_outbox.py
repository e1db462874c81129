"""What is delivered at least once, by whom, and what becomes of that which cannot be."""

from __future__ import annotations

from datetime import datetime

import pytest

from ledger import Delivery, JobState, Ledger
from tests.unit.ledger.conftest import NOON, after, set_time
from tests.unit.ledger.studies import carry, claim_one, complete, submit


def test_a_job_is_completed_when_everything_is_delivered(ledger: Ledger) -> None:
    job = submit(ledger)
    complete(
        ledger,
        claim_one(ledger),
        Delivery("stow", "pacs", "sr"),
        Delivery("callback", "https://ris", payload={}),
    )
    first, second = carry(ledger, NOON, "a")
    ledger.outbox.delivered(first.id)
    assert ledger.jobs.get(job.id).state is JobState.STORING
    ledger.outbox.delivered(second.id, 0.25)
    assert ledger.jobs.get(job.id).state is JobState.COMPLETED
    assert ledger.jobs.get(job.id).stages_s == {"fetch": 0.5, "store": 0.25}


def test_a_delivery_in_hand_comes_back_when_its_bearer_dies(ledger: Ledger) -> None:
    submit(ledger)
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    (first,) = carry(ledger, NOON, "a")
    assert carry(ledger, after(9), "b") == ()
    (again,) = carry(ledger, after(11), "b")
    assert (again.id, again.attempt, again.losses) == (first.id, 1, 1)


def test_a_dead_letter_is_shown_and_the_result_kept(ledger: Ledger) -> None:
    job = submit(ledger)
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    (delivery,) = carry(ledger, NOON, "a")
    ledger.outbox.delivery_failed(delivery.id, "a", "result-store-rejected", retry_at=None)
    shown = ledger.jobs.get(job.id)
    assert (shown.state, shown.undelivered) == (JobState.COMPLETED, ("stow of sr: result-store-rejected",))
    assert ledger.jobs.result(job.id)


def test_a_delivery_that_arrived_is_not_made_a_dead_letter_by_a_slow_bearer(ledger: Ledger) -> None:
    job = submit(ledger)
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    (slow,) = carry(ledger, NOON, "a")
    (quick,) = carry(ledger, after(11), "b")
    ledger.outbox.delivered(quick.id)
    ledger.outbox.delivery_failed(slow.id, "a", "result-store-rejected", retry_at=None)
    assert ledger.jobs.get(job.id).undelivered == ()


@pytest.mark.parametrize("retry_at", [after(12), None])
def test_a_slow_bearer_says_nothing_of_a_delivery_that_another_has_in_hand(
    ledger: Ledger, retry_at: datetime | None
) -> None:
    job = submit(ledger)
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    (slow,) = carry(ledger, NOON, "a")
    assert len(carry(ledger, after(11), "b")) == 1
    ledger.outbox.delivery_failed(slow.id, "a", "source-unavailable", retry_at=retry_at)
    assert carry(ledger, after(13), "c") == ()
    assert ledger.jobs.get(job.id).state is JobState.STORING


def test_a_delivery_that_was_given_up_and_yet_arrived_is_no_dead_letter(ledger: Ledger) -> None:
    job = submit(ledger)
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    (slow,) = carry(ledger, NOON, "a")
    (quick,) = carry(ledger, after(11), "b")
    ledger.outbox.delivery_failed(quick.id, "b", "result-store-rejected", retry_at=None)
    ledger.outbox.delivered(slow.id)
    assert ledger.jobs.get(job.id).undelivered == ()


def test_a_hanging_pacs_holds_up_nobody_else(ledger: Ledger) -> None:
    for number in range(6):
        submit(ledger)
        to_store = Delivery("stow", "slow-pacs", "sr")
        to_host = Delivery("callback", f"https://ris.example/jobs/{number}", payload={})
        complete(ledger, claim_one(ledger), to_store, to_host)
    claimed = ledger.outbox.claim_deliveries("a", 10, 9, busy_destinations={"slow-pacs"})
    assert {delivery.lane for delivery in claimed} == {"https://ris.example"}
    assert ledger.outbox.claim_deliveries("a", 10, 9, {"slow-pacs", "https://ris.example"}) == ()
    assert len(ledger.outbox.claim_deliveries("a", 10, 9)) == 6


def test_the_deliveries_of_one_job_are_claimed_without_those_of_others(ledger: Ledger) -> None:
    submit(ledger)
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    job = submit(ledger)
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"), Delivery("stow", "pacs", "seg"))
    claimed = ledger.outbox.claim_of_job(job.id, "a", 10)
    assert [(delivery.job_id, delivery.document) for delivery in claimed] == [
        (job.id, "sr"),
        (job.id, "seg"),
    ]
    assert ledger.outbox.claim_of_job(job.id, "b", 10) == ()


def test_a_retry_waits_for_its_time_and_not_for_its_lease(ledger: Ledger) -> None:
    submit(ledger)
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    (delivery,) = ledger.outbox.claim_deliveries("a", 300, 1)
    ledger.outbox.delivery_failed(delivery.id, "a", "result-store-rejected", retry_at=after(2))
    assert carry(ledger, after(1)) == ()
    (again,) = carry(ledger, after(2))
    assert (again.attempt, again.losses, again.created_at) == (2, 0, NOON)


def test_a_slow_bearer_keeps_its_delivery_by_renewing(ledger: Ledger) -> None:
    submit(ledger)
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    (delivery,) = carry(ledger)
    set_time(ledger, after(9))
    assert ledger.outbox.renew("a", [delivery.id, "gone"], 10) == {"gone"}
    assert carry(ledger, after(15), "b") == ()
    assert ledger.outbox.renew("b", [delivery.id], 10) == {delivery.id}


def test_a_delivery_that_kills_its_bearers_ends_as_a_dead_letter_that_is_listed(ledger: Ledger) -> None:
    job = submit(ledger)
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    for loss in range(3):
        assert len(carry(ledger, after(loss * 20))) == 1
    assert carry(ledger, after(100)) == ()
    (letter,) = ledger.outbox.dead_letters()
    assert (letter.job_id, letter.lane, letter.error_code) == (job.id, "pacs", "worker-lost")
    assert letter.ended_at == after(100)
    assert ledger.jobs.get(job.id).state is JobState.COMPLETED


def test_dead_letters_are_listed_newest_first(ledger: Ledger) -> None:
    for second in range(3):
        submit(ledger)
        complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
        (delivery,) = carry(ledger, after(second))
        ledger.outbox.delivery_failed(delivery.id, "a", "result-store-rejected", retry_at=None)
    assert [letter.ended_at for letter in ledger.outbox.dead_letters(2)] == [after(2), after(1)]


def test_a_representation_for_a_log_holds_no_address(ledger: Ledger) -> None:
    submit(ledger)
    delivery = Delivery("callback", "https://ris.example/patients/4711", payload={})
    complete(ledger, claim_one(ledger), delivery)
    assert "4711" not in repr(delivery) + repr(carry(ledger))


def test_what_goes_to_a_busy_destination_is_left_and_the_rest_of_the_job_is_taken(ledger: Ledger) -> None:
    job = submit(ledger)
    callback = Delivery("callback", "https://ris.example/a", payload={})
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"), callback)
    taken = ledger.outbox.claim_of_job(job.id, "a", 10, busy_destinations={"pacs"})
    assert [delivery.kind for delivery in taken] == ["callback"]
    assert [d.kind for d in ledger.outbox.claim_of_job(job.id, "a", 10)] == ["stow"]
