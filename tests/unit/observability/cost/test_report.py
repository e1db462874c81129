"""The report: groups of any kind sum to the bill, idle goes where the policy says, and nothing is divided by zero."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observability.cost.account import Line
from observability.cost.apportion import Books, books_of
from observability.cost.corrections import correcting
from observability.cost.events import Charge, CostEvent
from observability.cost.items import Item
from observability.cost.price_book import PriceBook
from observability.cost.report import Dimension, IdlePolicy, Report, report_of
from observability.record import Outcome
from tests.unit.observability.cost.fleets import (
    BOOK,
    HOUR,
    Fleet,
    at,
    fleets,
    paid,
    price,
    reading,
    silent,
    usage,
)

QUICK = settings(max_examples=40, deadline=None)
A_CORE_SECOND = PriceBook(
    "USD", (price(Item.CPU_CORE, 1800 * 10**9), BOOK.prices[3])
)  # two cores: 1 a second
groupings = st.lists(st.sampled_from(Dimension), max_size=3)


def report(found: Books, by: Sequence[Dimension] = (), idle: IdlePolicy = IdlePolicy.NONE) -> Report:
    return report_of(found.amounts, {item.value: nano for item, nano in found.bill.items()}, by, idle)


def told(events: Sequence[CostEvent], *by: Dimension, idle: IdlePolicy = IdlePolicy.NONE) -> Report:
    return report(books_of(events, A_CORE_SECOND, HOUR), by, idle)


@given(fleets(), groupings, st.sampled_from(IdlePolicy))
@QUICK
def test_groups_of_every_kind_sum_to_the_bill(fleet: Fleet, by: list[Dimension], idle: IdlePolicy) -> None:
    found = report(books_of(fleet.events, fleet.book, HOUR), by, idle)
    assert found.agrees
    assert found.booked == found.billed
    assert all(row.total >= 0 for row in found.rows)


@given(fleets(), groupings)
@QUICK
def test_the_idle_policy_moves_what_nobody_used_and_nothing_else(fleet: Fleet, by: list[Dimension]) -> None:
    books = books_of(fleet.events, fleet.book, HOUR)
    reports = [report(books, by, idle) for idle in IdlePolicy]
    used = [{row.key: dict(row.by_line) for row in one.rows if row.by_line} for one in reports]
    assert used[0] == used[1] == used[2]
    assert len({sum(row.overhead for row in one.rows) for one in reports}) == 1
    assert len({tuple((row.key, row.delivered) for row in one.rows if row.by_line) for one in reports}) == 1


def test_idle_goes_to_who_used_the_version_by_use_or_in_equal_parts() -> None:
    events: list[CostEvent] = [
        paid(0, 100),
        usage(0, 30, reading("st-1", site="north")),
        usage(40, 50, reading("st-2", site="south")),
        paid(0, 10, resource="other", model="lungs"),  # of which nobody asked anything
    ]
    rows = {
        idle: {
            row.key: (row.direct // 10**9, row.overhead // 10**9)
            for row in told(events, Dimension.SITE, idle=idle).rows
        }
        for idle in IdlePolicy
    }
    assert rows[IdlePolicy.NONE] == {("",): (0, 70), ("north",): (30, 0), ("south",): (10, 0)}
    assert rows[IdlePolicy.PROPORTIONAL] == {("",): (0, 10), ("north",): (30, 45), ("south",): (10, 15)}
    assert rows[IdlePolicy.UNIFORM] == {("",): (0, 10), ("north",): (30, 30), ("south",): (10, 30)}


def test_a_day_without_a_delivered_study_has_no_cost_per_study() -> None:
    days: list[list[CostEvent]] = [[paid(0, 10)], [paid(0, 10), usage(0, 5, silent())], []]
    for events in days:
        found = told(events, Dimension.MODEL)
        assert found.per_delivered is None
        assert [row.per_delivered for row in found.rows] == [None] * len(found.rows)


def test_a_delivered_study_bears_what_its_retries_and_shadows_cost() -> None:
    failed = reading(outcome=Outcome.FAILED, is_delivered=False)
    events: list[CostEvent] = [
        paid(0, 40),
        usage(0, 10, failed),
        usage(10, 20, reading(attempt=2)),
        usage(20, 30, silent()),
        usage(30, 40, reading("st-2", variant="canary")),
        Charge("c", Item.READER_MINUTE, 60_000, at(5), reading()),
    ]
    found = told(events)
    (row,) = found.rows
    cost = {line: nano // 10**9 for line, nano in row.by_line.items()}
    assert cost == {Line.FAILED: 10, Line.RETRY: 10, Line.SHADOW: 10, Line.CANARY: 10, Line.REVIEW: 4}
    assert (row.delivered, row.per_delivered) == (2, 22 * 10**9)
    assert found.per_delivered == row.per_delivered


def test_the_cost_of_a_stage_or_line_is_divided_by_all_delivered_studies() -> None:
    events: list[CostEvent] = [
        paid(0, 40),
        usage(0, 10, reading("st-1")),
        usage(10, 30, reading("st-2")),
        usage(30, 40, silent()),
    ]
    rows = {row.key: row.per_delivered for row in told(events, Dimension.LINE).rows}
    assert rows == {("primary",): 15 * 10**9, ("shadow",): 5 * 10**9}


def test_marginal_is_what_would_not_have_been_paid_without_the_work() -> None:
    events: list[CostEvent] = [
        paid(0, 20),
        paid(0, 10, resource="burst", is_elastic=True),
        usage(0, 10, reading()),
        usage(0, 5, reading("st-2"), resource="burst"),
        Charge("c", Item.READER_MINUTE, 15_000, at(5), reading()),
    ]
    (row,) = told(events, idle=IdlePolicy.PROPORTIONAL).rows
    assert [nano // 10**9 for nano in (row.marginal, row.direct, row.total)] == [11, 16, 31]


def test_books_that_do_not_sum_to_the_bill_say_so() -> None:
    found = books_of([paid(0, 1)], A_CORE_SECOND, HOUR)
    wrong = {account: nano + 1 for account, nano in found.amounts.items()}
    assert not report_of(wrong, {item.value: nano for item, nano in found.bill.items()}, ()).agrees


@given(fleets(), st.data())
@QUICK
def test_what_comes_late_is_posted_as_a_difference_and_what_was_posted_stays(
    fleet: Fleet, data: st.DataObject
) -> None:
    """However the events come in, the postings sum to the books of all of them."""
    first = data.draw(st.integers(0, len(fleet.events)))
    posted: list[dict[object, int]] = []
    for known in (fleet.events[:first], fleet.events, fleet.events):
        sums: dict[object, int] = {}
        for entry in posted:
            for account, nano in entry.items():
                sums[account] = sums.get(account, 0) + nano
        posted.append(correcting(sums, books_of(known, fleet.book, HOUR).amounts))  # type: ignore[arg-type]
    total = dict(posted[0])
    for entry in posted[1:]:
        for account, nano in entry.items():
            total[account] = total.get(account, 0) + nano
    final = books_of(fleet.events, fleet.book, HOUR).amounts
    assert {account: nano for account, nano in total.items() if nano} == {k: n for k, n in final.items() if n}
    assert posted[2] == {}, "the same events again post nothing"


@pytest.mark.parametrize("found", [{}, {"a": 0}, {"a": 3, "b": -1}])
def test_a_correction_makes_the_sums_what_was_found(found: dict[str, int]) -> None:
    change = correcting({"a": 5, "c": 2}, found)
    assert {key: {"a": 5, "c": 2}.get(key, 0) + nano for key, nano in change.items()} == (
        {key: found.get(key, 0) for key in change}
    )
    assert correcting(found, found) == {}


def test_what_the_platform_costs_is_a_line_of_its_own_and_on_request_borne_by_all_who_used_anything() -> None:
    events: list[CostEvent] = [
        paid(0, 40),
        paid(0, 100, resource="reader", deployment="StudyReader", model="", version=""),
        usage(0, 30, reading("st-1", site="north")),
        usage(30, 40, reading("st-2", site="south")),
        usage(0, 20, reading("st-1", site="north"), resource="reader"),
    ]
    rows = {
        row.key: (row.direct // 10**9, row.overhead // 10**9) for row in told(events, Dimension.SITE).rows
    }
    assert rows == {("",): (0, 80), ("north",): (50, 0), ("south",): (10, 0)}
    shared = told(events, Dimension.SITE, idle=IdlePolicy.PROPORTIONAL)
    assert {row.key: round(row.overhead * 3 / 10**9) for row in shared.rows} == {
        ("north",): 200,
        ("south",): 40,
    }
    parts = told(events, Dimension.DEPLOYMENT, Dimension.LINE).rows
    assert {row.key: row.total // 10**9 for row in parts} == {
        ("", "primary"): 40,
        ("StudyReader", "primary"): 20,
        ("StudyReader", "platform"): 80,
    }
