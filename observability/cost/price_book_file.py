"""A price book as a site writes it: YAML, with every mistake told by its line, its field and the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from core.codec import InvalidDocument, faults_of, from_plain
from core.errors import InvalidField
from core.yaml_document import BrokenYaml, YamlDocument, cut, read_documents
from observability.cost.items import Item
from observability.cost.price_book import NANO, Per, Price, PriceBook

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MOST: Final = 10**9  # of the currency for one unit: whatever is above is a slip


@dataclass(frozen=True, slots=True)
class _PriceText:
    """One price. `price` is exact, to nine decimals; `since` a date, which is its beginning in UTC, or a time."""

    item: Item
    price: str | int | float
    since: str
    per: Per | None = None

    def __post_init__(self) -> None:
        Price(self.item, self.nano, 0, self.per)
        _ = self.since_ns

    @property
    def nano(self) -> int:
        """A number of YAML is read as it is written: 0.04 is forty million nano-units and nothing beside."""
        try:
            amount = Decimal(str(self.price))
            nano = amount * NANO
            if not (amount.is_finite() and 0 <= amount <= MOST):
                raise ValueError(f"a price is a number from 0 to {MOST}")
        except InvalidOperation:
            raise ValueError(f"a price is a number from 0 to {MOST}") from None
        if nano != int(nano):
            raise ValueError("a price has at most nine decimals")
        return int(nano)

    @property
    def since_ns(self) -> int:
        try:
            moment = datetime.fromisoformat(self.since)
        except ValueError:
            raise ValueError("since is a date, as 2026-01-01, or a time with its zone") from None
        if moment.tzinfo is None:
            if len(self.since) > len("2026-01-01"):
                raise ValueError("a time has a zone, as 2026-01-01T06:00+01:00")
            moment = moment.replace(tzinfo=UTC)
        if moment < EPOCH:
            raise ValueError("no price is from before 1970")
        return (moment - EPOCH) // timedelta(microseconds=1) * 1000

    @property
    def value(self) -> Price:
        return Price(self.item, self.nano, self.since_ns, self.per)


@dataclass(frozen=True, slots=True)
class _BookText:
    currency: str
    prices: tuple[_PriceText, ...]

    def __post_init__(self) -> None:
        PriceBook(self.currency, ())


def read_price_book(text: str, name: str) -> PriceBook:
    """The price book of a file called `name`.

    Raises InvalidField: for each mistake a line `file:line:column: field: reason`.
    """
    try:
        documents = read_documents(text, name)
    except BrokenYaml as error:
        raise InvalidField(str(error)) from None
    if len(documents) > 1:
        raise InvalidField(f"{name}: a price book is one document")
    (document,) = documents
    _refuse(document.told(faults_of(_BookText, document.value)))
    book = from_plain(_BookText, document.value)
    _refuse(document.told(_named_twice(document, book)))
    return PriceBook(book.currency, tuple(price.value for price in book.prices))


def _named_twice(document: YamlDocument, book: _BookText) -> Iterator[InvalidDocument]:
    seen: set[tuple[Item, int]] = set()
    for number, price in enumerate(book.prices):
        named = (price.item, price.since_ns)
        if named in seen:
            problem = f"another price of {price.item.value} counts from then"
            yield InvalidDocument(f"/prices/{number}/since", problem)
        seen.add(named)


def _refuse(told: list[str]) -> None:
    if told:
        raise InvalidField(cut(told))
