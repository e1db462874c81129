"""Brings the hours that are over into the books of costs, and late events and changed prices as corrections."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from core.clock import now
from core.errors import NoPriceBook
from observability.cost.price_book import PriceBook
from serve_apps.application.costs import EPOCH, HOUR, site_price_book

logger = logging.getLogger("serinus.costs")
SETTLED: Final = timedelta(
    minutes=5
)  # by then who tells of an hour has told; what comes later is a correction
MOST_HOURS: Final = 48  # at one look, so that a new price for a year holds up nobody


class CostBooks(Protocol):
    """The books; hours are counted from the epoch. Raises LedgerUnavailable."""

    def due(self, book: PriceBook, before: int) -> tuple[int, ...]: ...
    def post(self, hour: int, book: PriceBook) -> bool: ...


class CostPosting:
    """A look posts what is due. Without a price book there is nothing to post."""

    def __init__(
        self, books: CostBooks, price_book: Path | None, clock: Callable[[], datetime] = now
    ) -> None:
        self._books = books
        self._price_book = price_book
        self._clock = clock
        self._told = ""

    def look(self) -> int:
        """How many hours were posted or corrected. Blocks; a price book that is wrong is told once."""
        if self._price_book is None:
            return 0
        try:
            book = site_price_book(self._price_book)
        except NoPriceBook as error:
            if error.detail != self._told:
                self._told = error.detail
                logger.warning("costs.no_price_book", extra={"reason": error.detail})
            return 0
        self._told = ""
        before = (self._clock() - SETTLED - EPOCH) // HOUR
        return sum(self._books.post(hour, book) for hour in self._books.due(book, before)[:MOST_HOURS])
