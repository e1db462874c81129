"""Answers of readers, what arrived outside and what is kept cost something once, however often it is looked at."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from core.codec import from_json
from ledger import Delivery, KeptFor, Ledger
from ledger.tables import cost_events, cost_hours, microseconds
from observability.cost.events import Charge
from observability.cost.items import Item
from observability.cost.price_book import HOUR_NS
from tests.unit.ledger.conftest import NOON, after, set_time
from tests.unit.ledger.paired import read_twice, says
from tests.unit.ledger.studies import carry, claim_one, complete, submit
from tests.unit.ledger.test_truths import ABSENT, answer, queue
from tests.unit.observability.cost.fleets import BOOK, paid, reading, usage

HOUR = timedelta(hours=1)
FOR_EVER = KeptFor(None, None, None)


def charges(ledger: Ledger, item: Item) -> list[Charge]:
    with ledger.database.read() as connection:
        rows = connection.execute(sa.select(cost_events.c.kind, cost_events.c.document)).all()
    told = [from_json(Charge, document) for kind, document in rows if kind == "charge"]
    return sorted((one for one in told if one.item is item), key=lambda one: (one.at_ns, one.event))


def nowhere(destination: str) -> bool:
    return False


def test_each_answer_of_a_reader_is_paid_once_by_the_candidate_also_one_that_is_withdrawn(
    ledger: Ledger,
) -> None:
    ledger.cost_charges.take_reviews(5)
    read_twice(ledger, shadow=says("2", "absent"))
    (item,) = queue(ledger)
    wrong = answer(ledger, item).truth
    ledger.truths.withdraw(wrong.id, "st-pt-1", tenant="ris", actor="a")
    set_time(ledger, after(60))
    answer(ledger, item, ABSENT, "reader-8")
    assert [ledger.cost_charges.take_reviews(2.5) for _ in range(3)] == [2, 0, 0]
    told = charges(ledger, Item.READER_MINUTE)
    assert [one.quantity for one in told] == [150_000, 150_000]
    by = told[1].reading
    assert (by.study, by.model, by.version, by.is_delivered) == ("st-pt-1", "ich", "2", False)


def test_what_was_answered_before_anybody_kept_books_is_not_charged(ledger: Ledger) -> None:
    read_twice(ledger, shadow=says("2", "absent"))
    (item,) = queue(ledger)
    answer(ledger, item)
    assert ledger.cost_charges.take_reviews(5) == 0


def test_a_delivery_that_arrived_outside_is_charged_once_by_its_bytes(ledger: Ledger) -> None:
    ledger.cost_charges.take_egress(nowhere, "north")
    submit(ledger)
    payload = {"said": "ü"}
    stow, callback = (
        Delivery("stow", "pacs", "sr"),
        Delivery("callback", "https://ris.example/x", payload=payload),
    )
    complete(ledger, claim_one(ledger), stow, callback)
    for one in carry(ledger, NOON, "a"):
        ledger.outbox.delivered(one.id)
    set_time(ledger, after(5))
    assert ledger.cost_charges.take_egress(nowhere, "north") == 0, "it may still be written"
    set_time(ledger, after(11))
    assert ledger.cost_charges.take_egress(lambda one: one == "pacs", "north") == 1
    assert ledger.cost_charges.take_egress(nowhere, "north") == 0
    (only,) = charges(ledger, Item.EGRESS_GB)
    assert only.quantity == len('{"said": "\\u00fc"}')
    assert (only.reading.model, only.reading.site, only.at_ns) == ("ich", "north", microseconds(NOON) * 1000)


def test_what_never_arrived_is_not_charged_and_an_outage_is_made_up_for_hour_by_hour(ledger: Ledger) -> None:
    ledger.cost_charges.take_egress(nowhere, "")
    for number in range(2):
        submit(ledger, f"k{number}")
        complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    dead, arrives = carry(ledger, NOON, "a")
    ledger.outbox.delivery_failed(dead.id, "a", "result-store-rejected", retry_at=None)
    ledger.outbox.delivered(arrives.id)
    set_time(ledger, NOON + 3 * HOUR)
    assert sum(ledger.cost_charges.take_egress(nowhere, "") for _ in range(5)) == 1


def test_what_is_kept_is_charged_for_each_hour_that_has_begun_also_for_those_nobody_looked_in(
    ledger: Ledger,
) -> None:
    job = submit(ledger)
    complete(ledger, claim_one(ledger))
    size = len(ledger.jobs.document(job.id, "sr"))
    assert [ledger.cost_charges.take_storage("north") for _ in range(2)] == [1, 0]
    set_time(ledger, NOON + 3 * HOUR)
    assert ledger.cost_charges.take_storage("north") == 3
    told = charges(ledger, Item.STORAGE_GB_MONTH)
    first = microseconds(NOON) * 1000 // HOUR_NS
    assert [one.at_ns // HOUR_NS - first for one in told] == [0, 1, 2, 3]
    assert {(one.quantity, one.reading.model, one.reading.site) for one in told} == {(size, "ich", "north")}


# --- sealed hours


def posted_and_sealed(ledger: Ledger) -> int:
    """A posted hour that was sealed; the number of the hour."""
    ledger.costs.add([paid(0, 100), usage(10, 20, reading())])
    (hour,) = ledger.costs.due(BOOK, 10**6)
    ledger.costs.post(hour, BOOK)
    ledger.costs.seal(NOON + 1000 * 365 * timedelta(days=1))
    return hour


def test_the_events_of_a_sealed_hour_go_and_its_sums_stay(ledger: Ledger) -> None:
    ledger.costs.add([paid(0, 100), usage(10, 20, reading())])
    assert ledger.retention.due(FOR_EVER)["costs"] == 0, "nothing is posted yet"
    hour = posted_and_sealed(ledger)
    before = ledger.costs.sums(hour, hour + 1, BOOK)
    assert ledger.retention.due(FOR_EVER)["costs"] == 2
    assert ledger.retention.purge(FOR_EVER, actor="a")["costs"] == 2
    assert ledger.costs.sums(hour, hour + 1, BOOK) == before
    assert sum(before.bill.values()) > 0


def test_nothing_corrects_a_sealed_hour_neither_a_late_event_nor_a_price(ledger: Ledger) -> None:
    hour = posted_and_sealed(ledger)
    assert ledger.costs.add([usage(30, 40, reading("late"))]) == 0
    dearer = type(BOOK)("EUR", BOOK.prices)
    assert ledger.costs.due(dearer, 10**6) == ()
    assert not ledger.costs.post(hour, dearer)
    assert len(ledger.costs.entries(hour)) == 1


def test_an_hour_that_is_open_holds_back_all_after_it(ledger: Ledger) -> None:
    ledger.costs.add([paid(0, 100, "p1"), paid(3600, 3700, "p2")])
    first, second = ledger.costs.due(BOOK, 10**6)
    ledger.costs.post(second, BOOK)
    ledger.costs.seal(NOON + 1000 * 365 * timedelta(days=1))
    with ledger.database.read() as connection:
        sealed = (
            connection.execute(sa.select(cost_hours.c.hour).where(cost_hours.c.is_sealed)).scalars().all()
        )
    assert (sealed, first < second) == ([], True)


def test_what_is_charged_at_the_very_end_of_the_sealed_hours_stays(ledger: Ledger) -> None:
    hour = posted_and_sealed(ledger)
    start = (hour + 1) * HOUR_NS
    assert ledger.costs.add([Charge("c", Item.EGRESS_GB, 1, start, reading())]) == 1
    ledger.retention.purge(FOR_EVER, actor="a")
    assert [one.event for one in charges(ledger, Item.EGRESS_GB)] == ["c"]
