"""What a site pays, since when. A price is a whole number of nano-units of the currency, so that sums are exact."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from itertools import pairwise
from typing import Final

from observability.cost.items import COUNTED, TIMED, Item
from observability.cost.spans import Span

NANO: Final = 10**9
SECOND_NS: Final = 10**9
HOUR_NS: Final = 3600 * SECOND_NS


class Per(StrEnum):
    """The time that the price of a timed item is for."""

    SECOND = "second"
    HOUR = "hour"

    @property
    def ns(self) -> int:
        return SECOND_NS if self is Per.SECOND else HOUR_NS


@dataclass(frozen=True, slots=True)
class Price:
    """`nano` of the currency for one unit of `item`, from `since_ns` (since the Unix epoch) until the next price.

    A timed item is paid `per` a time, a counted one is not.
    """

    item: Item
    nano: int
    since_ns: int
    per: Per | None = None

    def __post_init__(self) -> None:
        if self.nano < 0:
            raise ValueError("a price is not negative")
        if (self.per is None) is (self.item in TIMED):
            raise ValueError("an item that is held is paid per second or hour, one that is counted is not")

    def reading(self, amount: int, at_ns: int) -> int:
        """The meter of so much of a timed item: nano-units from the epoch to `at_ns`.

        A span costs the difference of two readings. So it costs the same whether it is looked at whole or in parts:
        the rounding of a part's end is that of the next one's beginning.
        """
        assert self.per is not None
        return self.nano * amount * at_ns // (TIMED[self.item] * self.per.ns)

    def of_quantity(self, quantity: int) -> int:
        """What so much of a counted item costs, rounded to the nearest nano-unit."""
        unit = COUNTED[self.item]
        return (2 * self.nano * quantity + unit) // (2 * unit)


@dataclass(frozen=True, slots=True)
class PriceBook:
    """`currency` is an ISO 4217 code. Before the first price of an item it has none, which is not a price of zero."""

    currency: str
    prices: tuple[Price, ...]

    def __post_init__(self) -> None:
        known = [(price.item, price.since_ns) for price in self.prices]
        if len(set(known)) < len(known):
            raise ValueError("an item has one price at a time")
        if not (len(self.currency) == 3 and self.currency.isalpha() and self.currency.isupper()):
            raise ValueError("a currency is three capital letters, as USD")

    def price(self, item: Item, at_ns: int) -> Price | None:
        """The price in force."""
        begun = [price for price in self.prices if price.item is item and price.since_ns <= at_ns]
        return max(begun, key=lambda price: price.since_ns, default=None)

    def slots(self, span: Span) -> list[Span]:
        """The parts of a span in which no price changes."""
        inside = {price.since_ns for price in self.prices if span.start < price.since_ns < span.end}
        return [Span(*ends) for ends in pairwise(sorted({span.start, span.end, *inside}))]

    def digest(self, span: Span) -> str:
        """Of the prices that count within a span: 32 hex digits. Another one calls for counting it anew."""
        counting = [
            f"{slot.start} {item.value} {price.nano} {price.per or ''}"
            for slot in self.slots(span)
            for item in Item
            if (price := self.price(item, slot.start)) is not None
        ]
        text = "\n".join([self.currency, *counting])
        return blake2b(text.encode(), digest_size=16, person=b"prices").hexdigest()
