"""What the running day has cost, for whoever scrapes: by what it was for, and the bill; both sum to the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from core.clock import now
from core.errors import NoPriceBook
from observability.metrics import instruments as of
from observability.metrics.exposition import Gauges
from observability.metrics.series import OTHER
from serve_apps.application.budgets import SpendingBooks
from serve_apps.application.costs import EPOCH, HOUR, site_cost_rules

NANO: Final = 10**9
MOST_SUMS: Final = 40
ANEW_AFTER: Final = timedelta(
    minutes=1
)  # the running hour is counted from its events, whoever scrapes how often


class CostGauges:
    """Of the day of UTC that runs. A site without a price book, or with one that cannot be read, has none."""

    def __init__(
        self, books: SpendingBooks, price_book: Path | None, clock: Callable[[], datetime] = now
    ) -> None:
        self._books = books
        self._price_book = price_book
        self._clock = clock
        self._known: tuple[Gauges, ...] = ()
        self._until: datetime | None = None

    def __call__(self) -> tuple[Gauges, ...]:
        """Blocks, once a minute. Raises LedgerUnavailable."""
        at = self._clock()
        if self._price_book is None or (self._until is not None and at < self._until):
            return self._known
        try:
            book = site_cost_rules(self._price_book).prices
        except NoPriceBook:
            self._known = ()
        else:
            hour = (at - EPOCH) // HOUR
            hours = self._books.by_hour(hour - at.hour, hour + 1, book).values()
            spent: Counter[tuple[str, ...]] = Counter()
            bill: Counter[tuple[str, ...]] = Counter()
            for one in hours:
                for on, nano in one.spent.items():
                    spent[on.line, on.model, on.variant] += nano
                for item, nano in one.bill.items():
                    bill[(item,)] += nano
            self._known = tuple(
                Gauges(instrument, {labels: nano / NANO for labels, nano in _largest(sums).items()})
                for instrument, sums in ((of.COST_TODAY, spent), (of.BILL_TODAY, bill))
            )
        self._until = at + ANEW_AFTER
        return self._known


def _largest(sums: Counter[tuple[str, ...]]) -> Mapping[tuple[str, ...], int]:
    """The largest sums; the others together under labels `other`, so that all still sum to the same."""
    kept = Counter(dict(sums.most_common(MOST_SUMS)))
    rest = sums - kept
    if rest:
        kept[(OTHER,) * len(next(iter(rest)))] = sum(rest.values())
    return kept
