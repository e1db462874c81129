"""A price book: exact prices since their days, and every mistake in the file by its line."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidField
from observability.cost.budget import Budget, Period
from observability.cost.items import Item
from observability.cost.largest_remainder import apportion
from observability.cost.price_book import HOUR_NS, Per, Price, PriceBook
from observability.cost.price_book_file import read_cost_rules, read_price_book
from observability.cost.spans import Span
from tests.unit.observability.cost.fleets import BOOK, START

GOOD = """currency: EUR
prices:
  - {item: cpu-core, price: 0.04, per: hour, since: 2026-01-01}
  - {item: cpu-core, price: "0.000000001", per: second, since: "2026-07-01T06:00+02:00"}
  - {item: reader-minute, price: 4, since: 2026-01-01}
"""
JANUARY, JULY = 1_767_225_600 * 10**9, 1_782_878_400 * 10**9


def test_a_price_is_read_as_it_is_written() -> None:
    book = read_price_book(GOOD, "prices.yaml")
    assert book.currency == "EUR"
    assert book.prices == (
        Price(Item.CPU_CORE, 40_000_000, JANUARY, Per.HOUR),
        Price(Item.CPU_CORE, 1, JULY, Per.SECOND),
        Price(Item.READER_MINUTE, 4 * 10**9, JANUARY),
    )


def test_a_price_counts_from_its_moment_until_the_next() -> None:
    book = read_price_book(GOOD, "prices.yaml")
    assert book.price(Item.CPU_CORE, JANUARY - 1) is None
    assert book.price(Item.CPU_CORE, JULY - 1) == book.prices[0]
    assert book.price(Item.CPU_CORE, JULY) == book.prices[1]
    assert book.slots(Span(JULY - 5, JULY + 5)) == [Span(JULY - 5, JULY), Span(JULY, JULY + 5)]


@pytest.mark.parametrize(
    ("former", "new", "told"),
    [
        ("price: 0.04", "price: cheap", "3:5: /prices/0: a price is a number from 0"),
        ("price: 0.04", "price: -1", "3:5: /prices/0: a price is a number from 0"),
        ("price: 0.04", "price: .nan", "3:22: /prices/0/price/float: Input should be a finite number"),
        ('"0.000000001"', '"0.0000000001"', "4:5: /prices/1: a price has at most nine decimals"),
        ("item: cpu-core, price: 0.04", "item: cpu, price: 0.04", "3:6: /prices/0/item: "),
        ("per: hour, since", "since", "3:5: /prices/0: an item that is held is paid per second or hour"),
        ("price: 4, since", "price: 4, per: hour, since", "5:5: /prices/2: an item that is held is paid"),
        (
            "since: 2026-01-01}\n  - {item: cpu-core",
            "since: 2026}\n  - {item: cpu-core",
            "3:46: /prices/0/since: ",
        ),
        ("06:00+02:00", "06:00", "4:5: /prices/1: a time has a zone"),
        (
            'per: second, since: "2026-07-01T06:00+02:00"',
            "per: second, since: 2026-01-01",
            "another price of cpu-core",
        ),
        ("currency: EUR", "currency: euro", "/: a currency is three capital letters"),
        ("currency: EUR", "currency: EUR\ncurrency: USD", "2:1: currency stands here twice"),
        ("prices:", "prices: [", "prices.yaml:3:"),
    ],
)
def test_a_mistake_is_told_by_its_line(former: str, new: str, told: str) -> None:
    assert former in GOOD
    with pytest.raises(InvalidField) as error:
        read_price_book(GOOD.replace(former, new), "prices.yaml")
    assert told in str(error.value)


def test_the_example_is_a_price_book() -> None:
    file = Path(__file__).parents[4] / "examples/costs/price_book.yaml"
    book = read_price_book(file.read_text(), file.name)
    assert {price.item for price in book.prices} == set(Item)


@given(
    st.lists(st.integers(0, HOUR_NS), min_size=2, max_size=9).map(sorted),
    st.integers(0, 10**12),
    st.integers(1, 10**6),
)
def test_a_span_costs_the_same_whole_or_in_parts(cuts: list[int], nano: int, amount: int) -> None:
    price = Price(Item.RAM_GIB, nano, 0, Per.HOUR)
    readings = [price.reading(amount, START + cut) for cut in cuts]
    parts = [later - former for former, later in pairwise(readings)]
    assert sum(parts) == readings[-1] - readings[0]
    assert all(part >= 0 for part in parts)


def test_the_digest_of_an_hour_tells_of_the_prices_that_count_in_it_alone() -> None:
    hour = Span(START, START + HOUR_NS)
    later = PriceBook("USD", (*BOOK.prices, Price(Item.CPU_CORE, 1, hour.end, Per.HOUR)))
    within = PriceBook("USD", (*BOOK.prices, Price(Item.CPU_CORE, 1, hour.end - 1, Per.HOUR)))
    assert later.digest(hour) == BOOK.digest(hour) != within.digest(hour)


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**9), min_size=1, max_size=30).filter(any))
def test_shares_sum_to_the_amount_and_are_within_one_of_exact(amount: int, weights: list[int]) -> None:
    shares = apportion(amount, weights)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share * sum(weights) - amount * weight) < sum(weights)


@pytest.mark.parametrize(("amount", "weights"), [(1, []), (1, [0, 0]), (-1, [1]), (1, [2, -1])])
def test_nothing_is_shared_among_nobody(amount: int, weights: list[int]) -> None:
    with pytest.raises(ValueError):
        apportion(amount, weights)


RULES = (
    GOOD
    + """budgets:
  - {name: site, limit: 12.5, per: month}
  - {name: ich, limit: 3, per: day, model: ich-triage}
review_minutes: 2.5
inside: [pacs, ris.example]
"""
)


def test_budgets_reviews_and_what_lies_inside_stand_beside_the_prices() -> None:
    rules = read_cost_rules(RULES, "prices.yaml")
    assert rules.prices == read_price_book(GOOD, "prices.yaml")
    assert rules.budgets == (
        Budget("site", 12_500_000_000, Period.MONTH),
        Budget("ich", 3 * 10**9, Period.DAY, "ich-triage"),
    )
    assert rules.review_minutes == 2.5
    inside = [rules.is_inside(one) for one in ("pacs", "https://ris.example:8443/x", "https://else", "s3")]
    assert inside == [True, True, False, False]
    plain = read_cost_rules(GOOD, "prices.yaml")
    assert (plain.budgets, plain.review_minutes, plain.is_inside("pacs")) == ((), None, False)


@pytest.mark.parametrize(
    ("former", "new", "told"),
    [
        ("limit: 12.5", "limit: -1", "a limit is a number from 0"),
        ("per: month}", "per: year}", "per"),
        ("name: ich,", "name: site,", "another budget has that name"),
        ("name: ich,", "name: '',", "a budget has a name"),
        ("review_minutes: 2.5", "review_minutes: 31", "at most 30"),
    ],
)
def test_a_mistake_in_a_budget_is_told_by_its_line(former: str, new: str, told: str) -> None:
    with pytest.raises(InvalidField, match=r"prices\.yaml:\d+:\d+: .*") as caught:
        read_cost_rules(RULES.replace(former, new), "prices.yaml")
    assert told in caught.value.detail
