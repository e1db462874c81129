"""An hour of the books: each paid nanosecond is some study's, or idle, load or drain; the sum is the bill exactly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain, product
from typing import Final, NamedTuple

from observability.cost.account import (
    Account,
    account_of_charge,
    account_of_delivery,
    account_of_rest,
    account_of_usage,
)
from observability.cost.events import Charge, CostEvent, Holding, PaidTime, ReadingMode, Usage
from observability.cost.items import Item
from observability.cost.largest_remainder import apportion
from observability.cost.price_book import Price, PriceBook
from observability.cost.spans import Span, joined
from observability.cost.sweep import Work, sweep

NOT_KNOWN: Final = ""


@dataclass(frozen=True, slots=True)
class Books:
    """Amounts in nano-units by account, and what the price book makes of the paid times alone, by item.

    An account without an item holds 0 and tells of a delivered study. `unpriced` are items
    that were used and have no price.
    """

    amounts: Mapping[Account, int]
    bill: Mapping[Item, int]
    unpriced: frozenset[Item]


class _Told(NamedTuple):
    """The events of a span."""

    paid: Mapping[str, Sequence[PaidTime]]
    usages: Mapping[str, Sequence[Usage]]
    charges: Sequence[Charge]


class _Paid(NamedTuple):
    """A time that is paid once, by an event that tells of it."""

    span: Span
    by: PaidTime


def books_of(events: Iterable[CostEvent], book: PriceBook, hour: Span) -> Books:
    """The books of an hour. The order of the events does not matter; one that is told twice counts once.

    At a moment in which somebody waits for a study, the live readings share what the moment costs and the silent ones
    have it for nothing; they pay for what would be idle without them. So no live reading costs more or less because
    a shadow runs beside it. Likewise, readings whose replica is not known pay for what would be idle without them.
    """
    told = _told(events)
    amounts: dict[Account, int] = defaultdict(int)
    unpriced: set[Item] = set()
    for resource in sorted(told.paid):
        once = paid_once(told.paid[resource])
        for slot in book.slots(hour):
            _share(once, told.usages.get(resource, ()), book, slot, amounts, unpriced)
    _charge(told.charges, book, hour, amounts, unpriced)
    for usage in chain.from_iterable(told.usages.values()):
        if usage.reading.is_delivered and hour.start <= usage.start_ns < hour.end:
            amounts[account_of_delivery(usage.reading)] += 0
    return Books(dict(amounts), _bill(told, book, hour), frozenset(unpriced))


def paid_once(events: Iterable[PaidTime]) -> list[_Paid]:
    """A resource's paid times without overlap: what two events tell of is the first one's."""
    found: list[_Paid] = []
    for event in sorted(events, key=lambda one: (one.start_ns, one.end_ns, repr(_kind(one)))):
        start = max(event.start_ns, found[-1].span.end) if found else event.start_ns
        if start < event.end_ns:
            found.append(_Paid(Span(start, event.end_ns), event))
    return found


def _kind(event: PaidTime) -> tuple[object, ...]:
    return (
        event.holds,
        event.phase,
        event.model,
        event.version,
        event.site,
        event.is_elastic,
        event.deployment,
    )


def _told(events: Iterable[CostEvent]) -> _Told:
    """Each event once, by resource, in an order that does not hang on the order in which they came."""
    paid: dict[str, list[PaidTime]] = defaultdict(list)
    usages: dict[str, list[Usage]] = defaultdict(list)
    charges: list[Charge] = []
    for event in {one.event: one for one in events}.values():
        if isinstance(event, PaidTime):
            paid[event.resource].append(event)
        elif isinstance(event, Usage):
            usages[event.resource].append(event)
        else:
            charges.append(event)
    for usage in usages.pop(NOT_KNOWN, ()):
        usages[_place_of(usage, paid)].append(usage)
    return _Told(paid, usages, charges)


def _place_of(usage: Usage, paid: Mapping[str, Sequence[PaidTime]]) -> str:
    """One of the version's resources that were paid then, whichever the usage's own times draw."""
    places = [
        resource
        for resource, events in sorted(paid.items())
        if any(_is_of(usage, event) and event.end_ns > usage.start_ns for event in events)
    ]
    if not places:
        return NOT_KNOWN
    times = f"{usage.start_ns} {usage.end_ns}"
    drawn = blake2b(times.encode(), digest_size=8, person=b"cost-place").digest()
    return places[int.from_bytes(drawn, "big") % len(places)]


def _is_of(usage: Usage, event: PaidTime) -> bool:
    of_version = (event.model, event.version) == (usage.reading.model, usage.reading.version)
    return of_version and event.start_ns < usage.end_ns and not event.deployment


def _share(
    once: Sequence[_Paid],
    usages: Sequence[Usage],
    book: PriceBook,
    slot: Span,
    amounts: dict[Account, int],
    unpriced: set[Item],
) -> None:
    """Book one resource in a slot in which no price changes. What it holds may change when it was paid for anew."""
    for alike in dict.fromkeys(_account_kind(one.by) for one in once):
        paid = [
            _Paid(inside, one.by)
            for one in once
            if _account_kind(one.by) == alike and (inside := one.span.within(slot))
        ]
        if paid:
            prices = _prices(paid[0].by.holds, book, slot, unpriced)
            _share_paid(paid, usages, prices, amounts)


def _account_kind(event: PaidTime) -> tuple[object, ...]:
    """What paid times have alike whose usages are booked in one."""
    return event.holds, event.is_elastic, event.deployment


def _prices(
    holds: Iterable[Holding], book: PriceBook, slot: Span, unpriced: set[Item]
) -> list[tuple[Holding, Price]]:
    found = [(holding, book.price(holding.item, slot.start)) for holding in holds]
    unpriced |= {holding.item for holding, price in found if price is None}
    return [(holding, price) for holding, price in found if price is not None]


def _share_paid(
    paid: Sequence[_Paid],
    usages: Sequence[Usage],
    prices: Sequence[tuple[Holding, Price]],
    amounts: dict[Account, int],
) -> None:
    """Live readings first, silent ones in what these leave, and the rest by what the resource was there for."""
    by = paid[0].by
    free: Sequence[Span] = joined([one.span for one in paid])
    ends = Span(free[0].start, free[-1].end)
    for mode, is_placed in product(ReadingMode, (True, False)):
        those = [
            one
            for one in usages
            if (one.reading.mode, one.resource != NOT_KNOWN) == (mode, is_placed)
            and one.start_ns < ends.end
            and one.end_ns > ends.start
        ]
        swept = sweep(free, [Work(one.start_ns, one.end_ns, one.weight) for one in those])
        for holding, price in prices:
            accounts = [account_of_usage(one, holding.item, by) for one in those]
            _book(accounts, swept.shares, _cost(swept.busy, holding, price), amounts)
        free = swept.free
    for one in paid:
        unused = [inside for span in free if (inside := span.within(one.span))]
        for holding, price in prices:
            if cost := _cost(unused, holding, price):
                amounts[account_of_rest(one.by, holding.item)] += cost


def _book(accounts: Sequence[Account], shares: Sequence[int], cost: int, amounts: dict[Account, int]) -> None:
    """Give the cost of busy times to the accounts that were busy.

    The order of the accounts decides who of equals takes the odd nano-unit; studies come last in it, so that what
    they are called moves nothing between two models, sites or outcomes.
    """
    if not any(shares):
        return
    by_account: dict[Account, int] = defaultdict(int)
    for account, share in zip(accounts, shares, strict=True):
        by_account[account] += share
    ordered = sorted(by_account, key=lambda one: (one._replace(study=""), by_account[one], one.study))
    for account, part in zip(ordered, apportion(cost, [by_account[one] for one in ordered]), strict=True):
        if part:
            amounts[account] += part


def _cost(spans: Iterable[Span], holding: Holding, price: Price) -> int:
    return sum(
        price.reading(holding.amount, end) - price.reading(holding.amount, start) for start, end in spans
    )


def _charge(
    charges: Iterable[Charge],
    book: PriceBook,
    hour: Span,
    amounts: dict[Account, int],
    unpriced: set[Item],
) -> None:
    for charge in charges:
        if hour.start <= charge.at_ns < hour.end:
            price = book.price(charge.item, charge.at_ns)
            if price is None:
                unpriced.add(charge.item)
            else:
                amounts[account_of_charge(charge)] += price.of_quantity(charge.quantity)


def _bill(told: _Told, book: PriceBook, hour: Span) -> dict[Item, int]:
    """What is paid, from the paid times and charges alone: it knows of no usage, so it can check the shares."""
    bill: dict[Item, int] = defaultdict(int)
    for span, by in chain.from_iterable(paid_once(events) for events in told.paid.values()):
        if (inside := span.within(hour)) is None:
            continue
        for slot in book.slots(inside):
            for holding in by.holds:
                if (price := book.price(holding.item, slot.start)) is not None:
                    bill[holding.item] += _cost([slot], holding, price)
    for charge in told.charges:
        if hour.start <= charge.at_ns < hour.end and (price := book.price(charge.item, charge.at_ns)):
            bill[charge.item] += price.of_quantity(charge.quantity)
    return dict(bill)
