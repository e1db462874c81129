"""The books of costs: each event once, each hour to its bill, and what comes late as an entry of its own."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from core.errors import InvalidField
from ledger import CostSums, Ledger
from ledger.cost_records import sums_of
from ledger.tables import cost_postings
from observability.cost.apportion import books_of
from observability.cost.events import Charge, CostEvent, PaidTime
from observability.cost.items import Item
from observability.cost.price_book import HOUR_NS, Per, Price, PriceBook
from observability.cost.report import Dimension, report_of
from tests.unit.observability.cost.fleets import BOOK, HOUR, START, at, paid, reading, silent, usage

FIRST = START // HOUR_NS
NEXT = FIRST + 1
DAY: tuple[CostEvent, ...] = (
    paid(0, 7200, "p1"),
    usage(100, 130, reading("st-1")),
    usage(110, 140, silent("st-1")),
    usage(3590, 3610, reading("st-2", site="south"), 3),  # over the end of the hour
    Charge("c1", Item.READER_MINUTE, 90_000, at(4000), reading("st-2", site="south")),
)


def nano(sums: CostSums) -> tuple[int, int]:
    return sum(sums.amounts.values()), sum(sums.bill.values())


def whole(ledger: Ledger, book: PriceBook = BOOK) -> CostSums:
    return ledger.costs.sums(FIRST, FIRST + 2, book)


def post_all(ledger: Ledger, book: PriceBook = BOOK) -> list[int]:
    return [hour for hour in ledger.costs.due(book, FIRST + 2) if ledger.costs.post(hour, book)]


def counted(events: Sequence[CostEvent], book: PriceBook = BOOK) -> CostSums:
    """What the events come to without a ledger: two hours as one."""
    return sums_of(books_of(events, book, HOUR._replace(end=HOUR.end + HOUR_NS)))


def test_an_event_that_is_told_again_after_a_crash_counts_once(ledger: Ledger) -> None:
    assert ledger.costs.add(DAY) == len(DAY)
    assert ledger.costs.add(DAY[1:3]) == 0
    assert ledger.costs.add((*DAY, paid(0, 1, "p2", resource="other"))) == 1


def test_the_books_say_before_and_after_they_are_posted_what_the_events_do(ledger: Ledger) -> None:
    ledger.costs.add(DAY)
    counting = whole(ledger)
    assert post_all(ledger) == [FIRST, NEXT]
    assert whole(ledger) == counting
    assert counting.bill == counted(DAY).bill
    assert nano(counting)[0] == nano(counting)[1] > 0
    assert {account.study for account in counting.delivered} == {"st-1", "st-2"}


def test_an_hour_that_is_in_the_books_is_not_posted_again(ledger: Ledger) -> None:
    ledger.costs.add(DAY)
    assert ledger.costs.due(BOOK, NEXT) == (FIRST,)
    assert ledger.costs.post(FIRST, BOOK)
    assert ledger.costs.due(BOOK, NEXT) == ()
    assert not ledger.costs.post(FIRST, BOOK)
    assert not ledger.costs.post(FIRST + 5, BOOK), "of which nothing is known"
    assert len(ledger.costs.entries(FIRST)) == 1


def test_what_comes_late_is_an_entry_of_its_own_and_changes_no_row(ledger: Ledger) -> None:
    ledger.costs.add(DAY)
    post_all(ledger)
    posted = rows(ledger)
    late = usage(50, 120, reading("st-3"))
    ledger.costs.add([late])
    assert ledger.costs.due(BOOK, FIRST + 2) == (FIRST,)
    counting = whole(ledger)
    assert ledger.costs.post(FIRST, BOOK)
    assert rows(ledger)[: len(posted)] == posted
    first, correction = ledger.costs.entries(FIRST)
    assert sum(correction.values()) == 0, "the bill is the same: idle time was used"
    assert {account.line for account, change in correction.items() if change < 0} == {"idle", "primary"}
    assert whole(ledger) == counting
    assert set(first) != set(correction)
    assert nano(whole(ledger)) == nano(counted((*DAY, late)))


def rows(ledger: Ledger) -> list[tuple[object, ...]]:
    order = (cost_postings.c.entry, cost_postings.c.hour, cost_postings.c.number)
    with ledger.database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(cost_postings).order_by(*order))]


def test_in_whatever_order_and_parts_events_come_the_books_are_the_same(ledger: Ledger) -> None:
    chance = random.Random(7)
    events = list(DAY) * 2
    chance.shuffle(events)
    for event in events:
        ledger.costs.add([event])
        if chance.random() < 0.5:
            post_all(ledger)
    post_all(ledger)
    alone = [sums_of(books_of(DAY, BOOK, HOUR._replace(start=s, end=s + HOUR_NS))) for s in (START, HOUR.end)]
    expected = {account for part in alone for account, amount in part.amounts.items() if amount}
    found = whole(ledger)
    assert {account for account, amount in found.amounts.items() if amount} == expected
    assert nano(found) == (sum(nano(part)[0] for part in alone), sum(nano(part)[1] for part in alone))


def test_a_price_that_is_changed_for_a_past_hour_opens_that_hour_and_no_other(ledger: Ledger) -> None:
    ledger.costs.add(DAY)
    post_all(ledger)
    dearer = PriceBook("USD", (*BOOK.prices, Price(Item.CPU_CORE, 80_000_000, HOUR.end, Per.HOUR)))
    assert ledger.costs.due(dearer, FIRST + 2) == (NEXT,)
    counting = whole(ledger, dearer)
    assert post_all(ledger, dearer) == [NEXT]
    assert whole(ledger, dearer) == counting
    assert nano(counting)[0] == nano(counting)[1] > nano(counted(DAY))[1]


def test_items_without_a_price_are_told_also_of_posted_hours(ledger: Ledger) -> None:
    book = PriceBook("USD", tuple(price for price in BOOK.prices if price.item is not Item.RAM_GIB))
    ledger.costs.add(DAY)
    assert whole(ledger, book).unpriced == {"ram-gib"}
    post_all(ledger, book)
    assert whole(ledger, book).unpriced == {"ram-gib"}
    assert whole(ledger, book).bill.keys() == {"cpu-core", "reader-minute"}


def test_a_span_tells_of_its_hours_only(ledger: Ledger) -> None:
    ledger.costs.add(DAY)
    post_all(ledger)
    parts = [ledger.costs.sums(hour, hour + 1, BOOK) for hour in (FIRST, NEXT)]
    assert [nano(part)[0] == nano(part)[1] > 0 for part in parts] == [True, True]
    assert sum(nano(part)[1] for part in parts) == nano(whole(ledger))[1]
    assert ledger.costs.sums(NEXT + 1, NEXT + 9, BOOK) == CostSums({}, frozenset(), {}, frozenset())


def test_a_report_of_the_books_agrees_with_the_bill(ledger: Ledger) -> None:
    ledger.costs.add(DAY)
    ledger.costs.post(FIRST, BOOK)
    sums = whole(ledger)
    report = report_of(sums.amounts, sums.bill, [Dimension.SITE], delivered=sums.delivered)
    assert report.agrees
    assert {row.key: row.delivered for row in report.rows} == {("",): 0, ("north",): 1, ("south",): 1}


def test_a_resource_that_was_paid_the_day_before_is_found(ledger: Ledger) -> None:
    ledger.costs.add([paid(-23 * 3600, 3600, "long")])
    assert nano(ledger.costs.sums(FIRST, NEXT, BOOK))[1] == nano(counted([paid(0, 3600)]))[1]


def test_what_does_not_fit_is_refused_and_nothing_of_its_batch_is_kept(ledger: Ledger) -> None:
    with pytest.raises(InvalidField):
        ledger.costs.add([*DAY, paid(0, 1, "p" * 97)])
    assert ledger.costs.add(DAY) == len(DAY)
    assert isinstance(DAY[0], PaidTime)
