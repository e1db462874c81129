"""A budget has batch work wait, replays first, until its period ends; nobody's answer waits for money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import HourOfCosts, Ledger, Spent, SpentOn, Waiting
from observability.cost.budget import Budget, Period, WorkClass, shed
from observability.cost.price_book import NANO, PriceBook
from serve_apps.application.budgets import SiteBudgets, pending_work, period_of, spent_within
from serve_apps.application.costs import EPOCH, HOUR
from tests.unit.shell.builders import a_version

AT = datetime(2026, 5, 10, 18, tzinfo=UTC)
HOUR_NOW = (AT - EPOCH) // HOUR
VERSION = a_version("2")
PRICES = "currency: USD\nprices: []\n"
DAILY = PRICES + "budgets:\n  - {name: daily, limit: 10, per: day}\n"
LIVE, SHADOW = SpentOn("ich-triage", "primary"), SpentOn("ich-triage", "shadow")


class Site:
    """Books, batch work and what waits, as a test sets them."""

    def __init__(self, folder: Path, book: str = DAILY) -> None:
        self.hours: dict[int, Spent] = {}
        self.pending: dict[tuple[str, str], int] = {}
        self.read: dict[str, int] = {}
        self.held: list[tuple[Waiting, ...]] = []
        self.file = folder / "prices.yaml"
        self.file.write_text(book)
        self.budgets = SiteBudgets(self, self, self.file)

    def by_hour(self, first: int, end: int, book: PriceBook) -> Mapping[int, HourOfCosts]:
        return {hour: HourOfCosts(spent, {}) for hour, spent in self.hours.items() if first <= hour < end}

    def pending_by_role(self) -> Mapping[tuple[str, str], int]:
        return self.pending

    def read_since(self, since: datetime) -> Mapping[str, int]:
        return self.read

    def hold(self, waiting: Sequence[Waiting]) -> bool:
        self.held.append(tuple(waiting))
        return True

    def roles(self, at: datetime = AT) -> list[str]:
        self.budgets.look([VERSION], at)
        return [one.role for one in self.held[-1]]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_while_the_budget_covers_what_is_asked_for_nothing_waits(site: Site) -> None:
    site.hours = {HOUR_NOW: {LIVE: NANO, SHADOW: NANO}}
    site.pending, site.read = {("ich-triage", "replay"): 1}, {"ich-triage": 1}
    assert site.roles() == []
    assert site.budgets.alarms == {}


def test_replays_wait_first_and_shadows_go_on_while_they_fit(site: Site) -> None:
    """2 spent, 6 hours of live work of 1 an hour to come, so 2 are left: a shadow of 1, but not 9 replays."""
    site.hours = {HOUR_NOW: {LIVE: NANO, SHADOW: NANO}}
    site.pending = {("ich-triage", "replay"): 9, ("ich-triage", "shadow"): 1}
    site.read = {"ich-triage": 1}
    assert site.roles() == ["replay"]
    (one,) = site.held[-1]
    assert (one.app, one.until) == (VERSION.app_name, datetime(2026, 5, 11, tzinfo=UTC))
    assert list(site.budgets.alarms) == ["budget daily"]
    assert one.reason == site.budgets.alarms["budget daily"]
    assert "replay of ich-triage would pass the budget daily of a day" in one.reason


def test_with_nothing_left_no_batch_work_begins_and_the_safety_net_goes_on(site: Site) -> None:
    site.hours = {HOUR_NOW: {LIVE: 11 * NANO}}
    site.pending = {("ich-triage", "safety-net"): 50}
    assert site.roles() == ["replay", "ground-truth", "shadow"]
    assert "live work and safety nets go on" in site.budgets.alarms["budget daily"]
    assert "a rollout gets no evidence of shadows" in site.budgets.alarms["budget daily"]


def test_a_budget_ends_by_itself_with_its_period(site: Site) -> None:
    site.hours = {HOUR_NOW - 8: {SHADOW: 11 * NANO}}
    assert site.roles() == ["replay", "ground-truth", "shadow"]
    assert site.roles(AT + timedelta(hours=6)) == []
    assert site.budgets.alarms == {}


def test_a_budget_of_a_model_counts_that_model_only(tmp_path: Path) -> None:
    book = PRICES + "budgets:\n  - {name: lungs, limit: 1, per: month, model: lungs}\n"
    site = Site(tmp_path, book)
    site.hours = {HOUR_NOW - 48: {LIVE: 50 * NANO}}
    assert site.roles() == []
    site.hours = {HOUR_NOW - 48: {SpentOn("lungs", "idle"): 50 * NANO}}
    assert site.roles() == [], "no version of that model is served"
    assert list(site.budgets.alarms) == ["budget lungs"]


def test_a_price_book_that_cannot_be_read_changes_nothing(site: Site) -> None:
    site.hours = {HOUR_NOW: {LIVE: 11 * NANO}}
    site.roles()
    site.file.write_text("currency: 1")
    site.budgets.look([VERSION], AT)
    assert (len(site.held), len(site.budgets.alarms)) == (1, 1)


@pytest.mark.parametrize(
    ("per", "begins", "ends"),
    [
        (Period.DAY, (2026, 12, 31), (2027, 1, 1)),
        (Period.MONTH, (2026, 12, 1), (2027, 1, 1)),
    ],
)
def test_a_period_is_of_utc(per: Period, begins: tuple[int, int, int], ends: tuple[int, int, int]) -> None:
    at = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    assert period_of(per, at) == (datetime(*begins, tzinfo=UTC), datetime(*ends, tzinfo=UTC))


@given(
    st.integers(0, 10**12),
    st.dictionaries(st.sampled_from([LIVE, SHADOW, SpentOn("", "platform")]), st.integers(0, 10**12)),
    st.dictionaries(
        st.tuples(st.just("ich-triage"), st.sampled_from(["replay", "shadow", "safety-net"])),
        st.integers(0, 99),
    ),
)
@settings(deadline=None)
def test_whatever_is_spent_neither_live_work_nor_a_safety_net_is_ever_shed(
    limit: int, spent: dict[SpentOn, int], pending: dict[tuple[str, str], int]
) -> None:
    budget = Budget("b", limit, Period.DAY)
    work = pending_work({"ich-triage"}, [spent], pending, {}, left_h=3.0)
    verdict = shed(budget, spent_within(budget, [spent]), work)
    assert not {one.work_class for one in verdict.shed} & {WorkClass.LIVE, WorkClass.SAFETY_NET}
    asked = sum(one.expected for one in work) + sum(spent.values())
    assert bool(verdict.shed) == (asked > limit)


def test_the_ledger_keeps_what_waits_and_forgets_it_when_it_is_over(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", clock=lambda: AT)
    one = Waiting("mv-a-1", "replay", "a", AT + HOUR, "why")
    past = Waiting("mv-a-1", "shadow", "a", AT, "why")
    assert ledger.waiting_work.hold([one, past])
    assert not ledger.waiting_work.hold([past, one])
    assert ledger.waiting_work.all() == (one,)
    assert ledger.waiting_work.hold([])
    assert ledger.waiting_work.all() == ()
    ledger.close()
