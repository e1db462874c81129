"""What hours have cost, for whoever looks again and again: posted hours are read once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import sqlalchemy as sa

from ledger.cost_records import span_of_hour
from ledger.costs import Costs
from ledger.database import Database
from ledger.tables import cost_hours
from observability.cost.price_book import PriceBook


class SpentOn(NamedTuple):
    """What an amount was for; the model is empty where it was for none."""

    model: str
    line: str
    variant: str = ""


Spent: TypeAlias = Mapping[SpentOn, int]


@dataclass(frozen=True, slots=True)
class HourOfCosts:
    """Nano-units: what was spent, and what was paid, by item, which the first sums to."""

    spent: Spent
    bill: Mapping[str, int]


class CostSpending:
    """Remembers the sums of posted hours until they are corrected."""

    def __init__(self, database: Database, costs: Costs) -> None:
        self._db = database
        self._costs = costs
        self._posted: dict[int, tuple[tuple[int, str], HourOfCosts]] = {}

    def by_hour(self, first: int, end: int, book: PriceBook) -> Mapping[int, HourOfCosts]:
        """Each hour from `first` up to, not including, `end`, of which anything is known."""
        within = (cost_hours.c.hour >= first) & (cost_hours.c.hour < end)
        names = ("hour", "entries", "is_open", "is_sealed", "prices")
        query = sa.select(*(cost_hours.c[name] for name in names)).where(within)
        with self._db.read() as connection:
            rows = connection.execute(query).all()
        return {row.hour: self._of_hour(row.hour, _mark(row, book), book) for row in rows}

    def _of_hour(self, hour: int, mark: tuple[int, str] | None, book: PriceBook) -> HourOfCosts:
        if mark is not None and hour in self._posted and self._posted[hour][0] == mark:
            return self._posted[hour][1]
        sums = self._costs.sums(hour, hour + 1, book)
        spent: Counter[SpentOn] = Counter()
        for account, nano in sums.amounts.items():
            spent[SpentOn(account.model, account.line, account.variant)] += nano
        found = HourOfCosts(spent, sums.bill)
        if mark is not None:
            self._posted[hour] = mark, found
        return found


def _mark(row: sa.Row[tuple[int, int, bool, bool, str]], book: PriceBook) -> tuple[int, str] | None:
    """What tells the sums of a posted hour from those after a correction; None while events may still come."""
    is_posted = row.is_sealed or (not row.is_open and row.prices == book.digest(span_of_hour(row.hour)))
    return (row.entries, row.prices) if is_posted else None
