"""A price book as a site writes it: YAML, with every mistake told by its line, its field and the reason.

Beside prices it holds what else a site decides about costs: budgets, how long a reader takes for an item, and which
destinations lie inside of the site.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final
from urllib.parse import urlsplit

from core.codec import InvalidDocument, faults_of, from_plain
from core.errors import InvalidField
from core.yaml_document import BrokenYaml, YamlDocument, cut, read_documents
from observability.cost.budget import Budget, Period
from observability.cost.items import Item
from observability.cost.price_book import NANO, Per, Price, PriceBook

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MOST_REVIEW_MINUTES: Final = 30
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
        return _nano(self.price, "a price")

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
class _BudgetText:
    """At most `limit` of the currency in each `per` (day or month, of UTC), of one model or of the whole site."""

    name: str
    limit: str | int | float
    per: Period
    model: str | None = None

    def __post_init__(self) -> None:
        _ = self.value

    @property
    def value(self) -> Budget:
        if not self.name:
            raise ValueError("a budget has a name")
        return Budget(self.name, _nano(self.limit, "a limit"), self.per, self.model)


@dataclass(frozen=True, slots=True)
class _BookText:
    currency: str
    prices: tuple[_PriceText, ...]
    budgets: tuple[_BudgetText, ...] = ()
    review_minutes: float | None = None
    inside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        PriceBook(self.currency, ())
        if self.review_minutes is not None and not 0 < self.review_minutes <= MOST_REVIEW_MINUTES:
            raise ValueError(f"a review takes more than 0 minutes and at most {MOST_REVIEW_MINUTES}")


@dataclass(frozen=True, slots=True)
class CostRules:
    """What a site decides about costs. `review_minutes` is what a reader takes for an item of the adjudication queue,
    None where nobody said so; `inside` are sources and hosts to which nothing leaves the site.
    """

    prices: PriceBook
    budgets: tuple[Budget, ...] = ()
    review_minutes: float | None = None
    inside: frozenset[str] = frozenset()

    def is_inside(self, destination: str) -> bool:
        """Whether a source, or the host of a URL, lies inside of the site."""
        return destination in self.inside or urlsplit(destination).hostname in self.inside


def read_price_book(text: str, name: str) -> PriceBook:
    """The prices of a file called `name`. Raises InvalidField as `read_cost_rules`."""
    return read_cost_rules(text, name).prices


def read_cost_rules(text: str, name: str) -> CostRules:
    """What the price book in a file called `name` says.

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
    return CostRules(
        PriceBook(book.currency, tuple(price.value for price in book.prices)),
        tuple(budget.value for budget in book.budgets),
        book.review_minutes,
        frozenset(book.inside),
    )


def _named_twice(document: YamlDocument, book: _BookText) -> Iterator[InvalidDocument]:
    seen: set[tuple[Item, int]] = set()
    for number, price in enumerate(book.prices):
        named = (price.item, price.since_ns)
        if named in seen:
            problem = f"another price of {price.item.value} counts from then"
            yield InvalidDocument(f"/prices/{number}/since", problem)
        seen.add(named)
    names: set[str] = set()
    for number, budget in enumerate(book.budgets):
        if budget.name in names:
            yield InvalidDocument(f"/budgets/{number}/name", "another budget has that name")
        names.add(budget.name)


def _nano(written: str | int | float, what: str) -> int:
    """A number of YAML is read as it is written: 0.04 is forty million nano-units and nothing beside."""
    try:
        amount = Decimal(str(written))
        nano = amount * NANO
        if not (amount.is_finite() and 0 <= amount <= MOST):
            raise ValueError(f"{what} is a number from 0 to {MOST}")
    except InvalidOperation:
        raise ValueError(f"{what} is a number from 0 to {MOST}") from None
    if nano != int(nano):
        raise ValueError(f"{what} has at most nine decimals")
    return int(nano)


def _refuse(told: list[str]) -> None:
    if told:
        raise InvalidField(cut(told))
