"""Prometheus hears what the running day has cost and what was paid; the first sums to the second."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ledger import HourOfCosts, Ledger, SpentOn
from observability.cost.price_book import HOUR_NS, PriceBook
from serve_apps.application.cost_gauges import CostGauges
from serve_apps.application.costs import EPOCH
from serve_apps.application.tell_costs import CostTelling
from tests.unit.observability.cost.fleets import BOOK, START, paid, reading, silent, usage

AT = datetime(2026, 5, 10, 2, 30, tzinfo=UTC)
HOUR_NOW = (AT - EPOCH) // timedelta(hours=1)
PRICES = "currency: USD\nprices:\n  - {item: cpu-core, price: 0.0036, per: hour, since: 2020-01-01}\n"


class Books:
    """Each hour cost a dollar."""

    def __init__(self) -> None:
        self.asked = 0
        self.at = AT

    def by_hour(self, first: int, end: int, book: PriceBook) -> Mapping[int, HourOfCosts]:
        self.asked += 1
        one = HourOfCosts({SpentOn("ich", "primary", "champion"): 10**9}, {"cpu-core": 10**9})
        return dict.fromkeys(range(first, end), one)


def gauges(books: Books, folder: Path, text: str = PRICES) -> CostGauges:
    file = folder / "prices.yaml"
    file.write_text(text)
    return CostGauges(books, file, lambda: books.at)


def test_the_day_of_utc_that_runs_is_told_and_counted_once_a_minute(tmp_path: Path) -> None:
    books = Books()
    told = gauges(books, tmp_path)
    cost, bill = told()
    assert (cost.values, bill.values) == ({("primary", "ich", "champion"): 3.0}, {("cpu-core",): 3.0})
    assert (told(), books.asked) == ((cost, bill), 1)
    books.at = AT + timedelta(hours=22)
    assert sum(told()[0].values.values()) == 1.0, "another day"


def test_without_a_price_book_nothing_is_told(tmp_path: Path) -> None:
    assert CostGauges(Books(), None)() == ()
    assert gauges(Books(), tmp_path, "currency: 1")() == ()


def test_posted_hours_are_read_once_until_they_are_corrected(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    hour = START // HOUR_NS
    ledger.costs.add([paid(0, 100), usage(10, 30, reading())])
    before = ledger.cost_spending.by_hour(hour, hour + 1, BOOK)[hour]
    assert sum(before.spent.values()) == sum(before.bill.values()) > 0
    ledger.costs.post(hour, BOOK)
    posted = ledger.cost_spending.by_hour(hour, hour + 1, BOOK)[hour]
    assert posted == before
    assert ledger.cost_spending.by_hour(hour, hour + 1, BOOK)[hour] is posted
    ledger.costs.add([usage(40, 60, silent())])
    ledger.costs.post(hour, BOOK)
    corrected = ledger.cost_spending.by_hour(hour, hour + 1, BOOK)[hour]
    assert corrected.spent[SpentOn("ich", "shadow", "challenger")] > 0
    assert corrected.bill == posted.bill
    ledger.close()


class Charges:
    """Notes what it is asked to take."""

    def __init__(self) -> None:
        self.taken: list[object] = []

    def take_reviews(self, minutes: float) -> int:
        self.taken.append(minutes)
        return 0

    def take_egress(self, is_inside: object, site: str) -> int:
        assert callable(is_inside)
        self.taken += [is_inside("pacs"), is_inside("https://ris.example:8443/x"), is_inside("https://else")]
        return 0

    def take_storage(self, site: str) -> int:
        self.taken.append(site)
        return 0


def test_reviews_are_told_where_the_site_says_how_long_they_take_and_inside_nothing_leaves(
    tmp_path: Path,
) -> None:
    file, rows = tmp_path / "prices.yaml", Charges()
    telling = CostTelling(rows, file, "north")
    telling.look()
    assert rows.taken == [], "the price book cannot be read"
    file.write_text(PRICES)
    telling.look()
    assert rows.taken == [False, False, False, "north"]
    rows.taken = []
    file.write_text(PRICES + "review_minutes: 2.5\ninside: [pacs, ris.example]\n")
    telling.look()
    assert rows.taken == [2.5, True, True, False, "north"]
