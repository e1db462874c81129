"""What is delivered at least once, by whom, and what becomes of that which cannot be."""

from __future__ import annotations

from ledger import Delivery, JobState, Ledger
from tests.unit.ledger.conftest import NOON, after
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
    ledger.outbox.delivery_failed(delivery.id, "result-store-rejected", retry_at=None)
    shown = ledger.jobs.get(job.id)
    assert (shown.state, shown.undelivered) == (JobState.COMPLETED, ("stow of sr: result-store-rejected",))
    assert ledger.jobs.result(job.id)


def test_a_delivery_that_arrived_is_not_made_a_dead_letter_by_a_slow_bearer(ledger: Ledger) -> None:
    job = submit(ledger)
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    (slow,) = carry(ledger, NOON, "a")
    (quick,) = carry(ledger, after(11), "b")
    ledger.outbox.delivered(quick.id)
    ledger.outbox.delivery_failed(slow.id, "result-store-rejected", retry_at=None)
    assert ledger.jobs.get(job.id).undelivered == ()


def test_a_delivery_that_was_given_up_and_yet_arrived_is_no_dead_letter(ledger: Ledger) -> None:
    job = submit(ledger)
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    (slow,) = carry(ledger, NOON, "a")
    (quick,) = carry(ledger, after(11), "b")
    ledger.outbox.delivery_failed(quick.id, "result-store-rejected", retry_at=None)
    ledger.outbox.delivered(slow.id)
    assert ledger.jobs.get(job.id).undelivered == ()
