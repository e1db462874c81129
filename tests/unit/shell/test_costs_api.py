"""Costs by HTTP: of whole hours, exact, and only for an administrator of a site that has a price book."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.clock import now
from ledger import Waiting
from observability.cost.events import Charge, CostEvent, Holding, PaidTime, Usage
from observability.cost.items import Item
from observability.names import Stage
from serve_apps.api.costs import amount
from serve_apps.application.costs import EPOCH
from tests.unit.observability.cost.fleets import reading, silent
from tests.unit.shell.site import Site

PATH = "/v1/costs"
PRICES = """currency: USD
prices:
  - {item: cpu-core, price: 0.0036, per: hour, since: 2020-01-01}
  - {item: reader-minute, price: 4, since: 2020-01-01}
"""
SECOND = 10**9


@pytest.fixture
def price_book(site: Site, tmp_path: Path) -> Path:
    """The site's price book: a core costs a millionth of a dollar a second."""
    file = tmp_path / "prices.yaml"
    file.write_text(PRICES)
    site.services.costs._price_book = file
    return file


def lately(second: float) -> int:
    """Two hours ago and so many seconds."""
    begun = (now() - timedelta(hours=2) - EPOCH) // timedelta(hours=1) * 3600
    return int((begun + second) * SECOND)


def a_day() -> list[CostEvent]:
    core = (Holding(Item.CPU_CORE, 1000),)
    shadow = silent("st-1", version="2")
    return [
        PaidTime("p1", "r1", lately(0), lately(100), core, model="ich", version="1"),
        PaidTime("p2", "r2", lately(0), lately(50), core, model="ich", version="2"),
        Usage("u1", "r1", Stage.FORWARD, lately(0), lately(10), reading("st-1")),
        Usage("u2", "r1", Stage.FORWARD, lately(10), lately(30), reading("st-2")),
        Usage("u3", "r2", Stage.FORWARD, lately(0), lately(40), shadow),
        Charge("c1", Item.READER_MINUTE, 30_000, lately(5), reading("st-2")),
    ]


async def costs(http: httpx.AsyncClient, **asked: Any) -> Any:
    answer = await http.get(PATH, params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_report_sums_to_the_bill_and_says_what_a_delivered_study_costs(
    site: Site, http: httpx.AsyncClient, price_book: Path
) -> None:
    site.ledger.costs.add(a_day())
    found = await costs(http, by=["model", "version"])
    assert found["bill"] == {"cpu-core": "0.000150000", "reader-minute": "2.000000000"}
    assert (found["billed"], found["booked"], found["agrees"]) == ("2.000150000", "2.000150000", True)
    assert (found["delivered"], found["per_delivered"], found["unpriced"]) == (2, "1.000075000", [])
    first, second = found["rows"]
    assert first["key"] == {"model": "ich", "version": "1"}
    assert first["lines"] == {"primary": "0.000030000", "review": "2.000000000"}
    assert (first["overhead"], first["marginal"], first["delivered"]) == ("0.000070000", "2.000000000", 2)
    assert second["lines"] == {"shadow": "0.000040000"}
    assert (second["overhead"], second["delivered"], second["per_delivered"]) == ("0.000010000", 0, None)


@pytest.mark.parametrize("idle", ["none", "proportional", "uniform"])
async def test_whatever_one_asks_for_it_sums_to_the_same(
    site: Site, http: httpx.AsyncClient, price_book: Path, idle: str
) -> None:
    site.ledger.costs.add(a_day())
    for by in ([], ["line"], ["stage", "site"], ["outcome", "variant", "item"], ["modality", "modality"]):
        found = await costs(http, by=by, idle=idle)
        assert sum(Decimal(row["total"]) for row in found["rows"]) == Decimal(found["billed"]), by
        assert found["agrees"]


async def test_a_span_is_of_whole_hours(site: Site, http: httpx.AsyncClient, price_book: Path) -> None:
    site.ledger.costs.add(a_day())
    since = EPOCH + timedelta(seconds=lately(1800) // SECOND)
    found = await costs(http, since=since.isoformat(), until=(since + timedelta(seconds=1)).isoformat())
    assert found["since"] == (since - timedelta(minutes=30)).isoformat().replace("+00:00", "Z")
    assert found["until"] == (since + timedelta(minutes=30)).isoformat().replace("+00:00", "Z")
    assert found["billed"] == "2.000150000"
    before = await costs(http, until=(since - timedelta(hours=1)).isoformat())
    assert (before["rows"], before["billed"], before["per_delivered"]) == ([], "0.000000000", None)


async def test_a_new_price_counts_at_once(site: Site, http: httpx.AsyncClient, price_book: Path) -> None:
    site.ledger.costs.add(a_day())
    price_book.write_text(PRICES.replace("0.0036", "0.0072").replace("reader-minute", "egress-gb"))
    found = await costs(http)
    assert found["bill"] == {"cpu-core": "0.000300000"}
    assert found["unpriced"] == ["reader-minute"]


async def test_without_a_price_book_it_says_how_to_name_one(http: httpx.AsyncClient) -> None:
    answer = await http.get(PATH)
    assert (answer.status_code, answer.json()["code"]) == (404, "no-price-book")
    assert "SERINUS_PRICE_BOOK" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("text", "told"),
    [("currency: USD\nprices: 3\n", "prices.yaml:2:1: /prices"), (None, "prices.yaml cannot be read")],
)
async def test_a_price_book_that_is_wrong_is_told_by_its_line(
    http: httpx.AsyncClient, price_book: Path, text: str | None, told: str
) -> None:
    price_book.unlink() if text is None else price_book.write_text(text)
    answer = await http.get(PATH)
    assert (answer.status_code, answer.json()["code"]) == (404, "no-price-book")
    assert told in answer.json()["detail"]


@pytest.mark.parametrize(
    "asked",
    [{"by": "study"}, {"idle": "mine"}, {"since": "2026-05-02T00:00:00Z", "until": "2026-05-01T00:00:00Z"}],
)
async def test_what_no_report_can_answer_is_refused(
    http: httpx.AsyncClient, price_book: Path, asked: dict[str, str]
) -> None:
    answer = await http.get(PATH, params=asked)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-field")


async def test_costs_are_the_sites_and_no_tenants(site: Site, price_book: Path) -> None:
    async with site.client(site.reader_key) as reader:
        assert (await reader.get(PATH)).status_code == 403


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "0.000000000"),
        (1, "0.000000001"),
        (-1_500_000_000, "-1.500000000"),
        (10**18, "1000000000.000000000"),
    ],
)
def test_an_amount_is_exact(nano: int, text: str) -> None:
    assert amount(nano) == text


async def test_a_report_says_what_waits_for_a_budget_until_when_and_why(
    site: Site, http: httpx.AsyncClient, price_book: Path
) -> None:
    until = now() + timedelta(hours=1)
    site.ledger.waiting_work.hold([Waiting("mv-ich-2", "replay", "ich", until, "the budget is spent")])
    (waits,) = (await costs(http))["waits"]
    assert waits | {"until": ""} == {
        "app": "mv-ich-2",
        "model": "ich",
        "role": "replay",
        "until": "",
        "reason": "the budget is spent",
    }
