"""What the books of costs tell: sums of postings, what was paid, and which studies were delivered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from observability.cost.account import Account
from observability.cost.apportion import Books
from observability.cost.price_book import HOUR_NS
from observability.cost.spans import Span


@dataclass(frozen=True, slots=True)
class CostSums:
    """Of some hours. `amounts` are without the study; `delivered` are accounts that each tell of a delivered one.

    `bill` is by item, of the paid times alone. `unpriced` are items that were used and had no price.
    """

    amounts: Mapping[Account, int]
    delivered: frozenset[Account]
    bill: Mapping[str, int]
    unpriced: frozenset[str]


def span_of_hour(hour: int) -> Span:
    """The hour of that number from the epoch, in nanoseconds."""
    return Span(hour * HOUR_NS, (hour + 1) * HOUR_NS)


def sums_of(books: Books) -> CostSums:
    amounts: Counter[Account] = Counter()
    for account, nano in books.amounts.items():
        if account.item:
            amounts[account._replace(study="")] += nano
    delivered = frozenset(account for account in books.amounts if account.delivered and not account.item)
    bill = {item.value: nano for item, nano in books.bill.items()}
    return CostSums(dict(amounts), delivered, bill, frozenset(item.value for item in books.unpriced))


def added(parts: Iterable[CostSums]) -> CostSums:
    """Several sums as one."""
    amounts: Counter[Account] = Counter()
    bill: Counter[str] = Counter()
    delivered: set[Account] = set()
    unpriced: set[str] = set()
    for part in parts:
        amounts.update(part.amounts)
        bill.update(part.bill)
        delivered |= part.delivered
        unpriced |= part.unpriced
    return CostSums(dict(amounts), frozenset(delivered), dict(bill), frozenset(unpriced))
