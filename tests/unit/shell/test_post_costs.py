"""Hours go into the books when they are over and settled, by the price book that the site has then."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import pytest

from observability.cost.price_book import PriceBook
from serve_apps.application.costs import EPOCH
from serve_apps.application.post_costs import MOST_HOURS, CostPosting

PRICES = "currency: USD\nprices:\n  - {item: gpu, price: 2, per: hour, since: 2026-01-01}\n"


class Books:
    """So many hours from the epoch are to be posted."""

    def __init__(self, hours: int = 10) -> None:
        self.left = list(range(hours))
        self.currencies: set[str] = set()

    def due(self, book: PriceBook, before: int) -> tuple[int, ...]:
        return tuple(hour for hour in self.left if hour < before)

    def post(self, hour: int, book: PriceBook) -> bool:
        self.left.remove(hour)
        self.currencies.add(book.currency)
        return True


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(PRICES)
    return path


@pytest.mark.parametrize(("minutes", "posted"), [(64, 0), (65, 1), (124, 1), (125, 2)])
def test_an_hour_is_posted_five_minutes_after_its_end(file: Path, minutes: int, posted: int) -> None:
    books = Books()
    assert CostPosting(books, file, lambda: EPOCH + timedelta(minutes=minutes)).look() == posted
    assert books.left == list(range(posted, 10))


def test_a_long_past_is_posted_in_parts(file: Path) -> None:
    books = Books(hours=MOST_HOURS + 2)
    posting = CostPosting(books, file, lambda: EPOCH + timedelta(days=30))
    assert [posting.look(), posting.look(), posting.look()] == [MOST_HOURS, 2, 0]


def test_a_price_book_that_is_wrong_is_told_once_and_a_mended_one_counts_at_once(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    books = Books()
    posting = CostPosting(books, file, lambda: EPOCH + timedelta(days=1))
    file.write_text("currency: euro\nprices: []\n")
    with caplog.at_level(logging.WARNING, "serinus.costs"):
        assert (posting.look(), posting.look()) == (0, 0)
    assert [record.message for record in caplog.records] == ["costs.no_price_book"]
    file.write_text(PRICES.replace("USD", "EUR"))
    assert posting.look() == 10
    assert books.currencies == {"EUR"}


def test_a_site_without_a_price_book_posts_nothing() -> None:
    books = Books()
    assert CostPosting(books, None, lambda: EPOCH + timedelta(days=1)).look() == 0
    assert len(books.left) == 10
