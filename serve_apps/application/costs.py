"""What readings have cost, by the site's price book and the books of the ledger.

The price book is read at each report, so that a new price counts at once, and a mistake in the file keeps nobody but
who asks for a report from an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from core.clock import now
from core.errors import InvalidField, NoPriceBook
from ledger import CostSums, Waiting
from observability.cost.price_book import PriceBook
from observability.cost.price_book_file import CostRules, read_cost_rules
from observability.cost.report import Dimension, IdlePolicy, Report, report_of
from serve_apps.application.executors import run_in

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
DEFAULT_SPAN: Final = timedelta(days=1)


class CostSource(Protocol):
    """The books, as a report needs them; hours are counted from the epoch."""

    def sums(self, first: int, end: int, book: PriceBook) -> CostSums: ...


class WaitingSource(Protocol):
    """`ledger.waiting_work`. Raises LedgerUnavailable."""

    def all(self) -> Sequence[Waiting]: ...


@dataclass(frozen=True, slots=True)
class CostQuery:
    """What is asked for: from when to when (None: the day before `until`; until now), grouped how."""

    by: tuple[Dimension, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    idle: IdlePolicy = IdlePolicy.NONE


@dataclass(frozen=True, slots=True)
class CostReport:
    """A report of whole hours. `unpriced` are items that were used and have no price, so that the bill lacks them.

    `waits` is the work that waits now for a budget, whatever the span.
    """

    report: Report
    currency: str
    since: datetime
    until: datetime
    unpriced: tuple[str, ...]
    waits: tuple[Waiting, ...] = ()


class CostService:
    """Reports. `price_book` is None where the site has none."""

    def __init__(
        self,
        source: CostSource,
        price_book: Path | None,
        executor: Executor,
        clock: Callable[[], datetime] = now,
        waiting: WaitingSource | None = None,
    ) -> None:
        self._source = source
        self._waiting = waiting
        self._price_book = price_book
        self._executor = executor
        self._clock = clock

    async def report(self, query: CostQuery) -> CostReport:
        """Raises NoPriceBook, which says what is wrong with it, and InvalidField for a span that ends too early."""
        return await run_in(self._executor, self._report, query)

    def _report(self, query: CostQuery) -> CostReport:
        book = site_price_book(self._price_book)
        first, end = _hours(query, self._clock())
        sums = self._source.sums(first, end, book)
        return CostReport(
            report_of(sums.amounts, sums.bill, query.by, query.idle, sums.delivered),
            book.currency,
            EPOCH + first * HOUR,
            EPOCH + end * HOUR,
            tuple(sorted(sums.unpriced)),
            tuple(self._waiting.all()) if self._waiting is not None else (),
        )


def site_price_book(file: Path | None) -> PriceBook:
    """The prices of the site's file. Raises NoPriceBook."""
    return site_cost_rules(file).prices


def site_cost_rules(file: Path | None) -> CostRules:
    """What the site's price book says. Raises NoPriceBook."""
    if file is None:
        raise NoPriceBook("this site has no price book: name one in SERINUS_PRICE_BOOK (docs/costs.md)")
    try:
        return read_cost_rules(file.read_text(), file.name)
    except (OSError, UnicodeDecodeError):
        raise NoPriceBook(f"the price book {file.name} cannot be read") from None
    except InvalidField as error:
        raise NoPriceBook(f"the price book is not valid: {error.detail}") from None


def _hours(query: CostQuery, at: datetime) -> tuple[int, int]:
    """The hours that the span touches."""
    until = query.until or at
    since = query.since or until - DEFAULT_SPAN
    if since >= until:
        raise InvalidField("the span ends after it begins", pointer="/until")
    return (since - EPOCH) // HOUR, -((EPOCH - until) // HOUR)
