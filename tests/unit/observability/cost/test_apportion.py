"""The promises of the cost ledger, as far as one hour holds them; the rest: `test_report.py`."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from observability.cost.account import OVERHEAD, Account
from observability.cost.apportion import NOT_KNOWN, Books, books_of, paid_once
from observability.cost.events import Charge, CostEvent, PaidTime, Phase, ReadingMode, Usage
from observability.cost.items import Item
from observability.cost.price_book import HOUR_NS, PriceBook
from observability.cost.spans import Span
from observability.record import Outcome
from tests.unit.observability.cost.fleets import (
    BOOK,
    HOUR,
    START,
    Fleet,
    at,
    fleets,
    paid,
    price,
    reading,
    silent,
    usage,
)

A_CORE_SECOND = PriceBook("USD", (price(Item.CPU_CORE, 1800 * 10**9),))  # of two cores: 1 a second
QUICK = settings(max_examples=40, deadline=None)


def books(fleet: Fleet, hour: Span = HOUR) -> Books:
    return books_of(fleet.events, fleet.book, hour)


def is_placeless(event: CostEvent) -> bool:
    return isinstance(event, Usage) and event.resource == NOT_KNOWN


def by(found: Books, *names: str) -> dict[tuple[object, ...], int]:
    sums: dict[tuple[object, ...], int] = defaultdict(int)
    for account, nano in found.amounts.items():
        sums[tuple(getattr(account, name) for name in names)] += nano
    return dict(sums)


def without_study(found: Books) -> dict[Account, int]:
    sums: dict[Account, int] = defaultdict(int)
    for account, nano in found.amounts.items():
        sums[account._replace(study="")] += nano
    return dict(sums)


def direct(found: Books) -> dict[Account, int]:
    return {account: nano for account, nano in found.amounts.items() if account.line not in OVERHEAD}


def live(found: Books) -> dict[Account, int]:
    return {account: nano for account, nano in direct(found).items() if account.line != "shadow"}


# --- 1, 2: conservation


@given(fleets())
@QUICK
def test_every_paid_moment_is_somebodys_and_the_sum_is_the_bill_of_each_item(fleet: Fleet) -> None:
    found = books(fleet)
    sums = {item: nano for (item,), nano in by(found, "item").items() if nano}
    assert sums == {item.value: nano for item, nano in found.bill.items() if nano}
    assert all(nano >= 0 for nano in found.amounts.values())


@given(fleets())
@QUICK
def test_the_hours_of_a_day_sum_to_what_the_day_is_billed(fleet: Fleet) -> None:
    hours = [Span(START + k * HOUR_NS, START + (k + 1) * HOUR_NS) for k in range(-1, 2)]
    whole = Span(hours[0].start, hours[-1].end)
    parts = [books(fleet, hour) for hour in hours]
    billed = sum(sum(part.bill.values()) for part in parts)
    assert billed == sum(books(fleet, whole).bill.values())
    assert billed == sum(sum(part.amounts.values()) for part in parts)


@given(fleets())
@QUICK
def test_a_share_is_that_of_an_independent_count_to_the_nano(fleet: Fleet) -> None:
    """Against fractions, moment by moment: the silent share what the live leave."""
    placed = tuple(event for event in fleet.events if not is_placeless(event))
    fleet = Fleet(placed, BOOK)  # one slot, so that each share is rounded once
    expected: dict[Account, Fraction] = defaultdict(Fraction)
    for resource in "ab":
        once = paid_once(e for e in fleet.events if isinstance(e, PaidTime) and e.resource == resource)
        used = [e for e in fleet.events if isinstance(e, Usage) and e.resource == resource]
        ends = {x for e in used for x in (e.start_ns, e.end_ns)} | {x for one in once for x in one.span}
        inside = sorted({*HOUR, *(x for x in ends if HOUR.start < x < HOUR.end)})
        for start, end in pairwise(inside):
            for one in once:
                if one.span.start <= start and end <= one.span.end:
                    _count(
                        expected,
                        one.by,
                        [e for e in used if e.start_ns <= start and end <= e.end_ns],
                        end - start,
                    )
    found = books(fleet)
    holdings = 2 * len([e for e in fleet.events if isinstance(e, PaidTime)])
    for account, nano in direct(found).items():
        if account.item and account.stage:
            assert abs(nano - expected[account]) <= 2 * holdings, "one for each time of its own"


def _count(expected: dict[Account, Fraction], by: PaidTime, used: list[Usage], ns: int) -> None:
    from observability.cost.account import account_of_usage

    working = [e for e in used if e.reading.mode is ReadingMode.LIVE] or used
    weight = sum(e.weight for e in working)
    for holding in by.holds:
        rate = BOOK.price(holding.item, START)
        assert rate is not None
        assert rate.per is not None
        unit = 1024 if holding.item is Item.RAM_GIB else 1000
        cost = Fraction(rate.nano * holding.amount * ns, unit * rate.per.ns)
        for e in working:
            account = account_of_usage(e, holding.item, by)
            expected[account] += cost * e.weight / weight


def test_who_works_beside_others_pays_by_weight() -> None:
    events: list[CostEvent] = [
        paid(0, 100),
        usage(0, 40, reading("st-1"), 1),
        usage(20, 50, reading("st-2"), 3),
        usage(40, 50, reading("st-3"), 1),
    ]
    sums = by(books_of(events, A_CORE_SECOND, HOUR), "study")
    assert {study: nano / 10**9 for (study,), nano in sums.items()} == {
        "st-1": 20 + 5,
        "st-2": 15 + 7.5,
        "st-3": 2.5,
        "": 50,
    }


# --- 3, 4, 9: what does not matter


@given(fleets(), st.randoms(use_true_random=False))
@QUICK
def test_order_and_names_of_events_and_studies_change_no_total(fleet: Fleet, chance: random.Random) -> None:
    events = list(fleet.events)
    chance.shuffle(events)
    assert books(replace(fleet, events=tuple(events))) == books(fleet)
    names = [f"st-{number}" for number in range(6)]
    new = dict(zip(names, chance.sample(names, 6), strict=True))
    renamed = tuple(_renamed(event, new, f"e{number}") for number, event in enumerate(events))
    assert without_study(books(replace(fleet, events=renamed))) == without_study(books(fleet))


@given(st.permutations(["ich", "lungs", "brain"]), st.permutations(["st-1", "st-2", "st-3"]))
def test_the_odd_nano_does_not_go_by_the_name_of_a_study_or_who_came_first(
    models: list[str], studies: list[str]
) -> None:
    """Two nano-units for three models: the same two have them, whatever their studies are called."""
    book = PriceBook("USD", (price(Item.CPU_CORE, 1000),))
    used = [usage(0, 3600, reading(s, model=m)) for s, m in zip(studies, models, strict=True)]
    sums = by(books_of([paid(0, 3600), *used], book, HOUR), "model")
    assert sums == {("brain",): 667, ("ich",): 667, ("lungs",): 666}


def _renamed(event: CostEvent, new: dict[str, str], name: str) -> CostEvent:
    if isinstance(event, PaidTime):
        return replace(event, event=name)
    return replace(event, event=name, reading=replace(event.reading, study=new[event.reading.study]))


@given(fleets(), st.floats(0, 1))
@QUICK
def test_a_paid_time_told_in_two_parts_changes_nothing(fleet: Fleet, share: float) -> None:
    parts: list[CostEvent] = []
    for event in fleet.events:
        if isinstance(event, PaidTime):
            cut = event.start_ns + int((event.end_ns - event.start_ns) * share)
            parts += [replace(event, end_ns=cut), replace(event, event=f"{event.event}+", start_ns=cut)]
        else:
            parts.append(event)
    resources = [e.resource for e in fleet.events if isinstance(e, PaidTime)]
    if len(set(resources)) == len(resources):  # of two that overlap the one that begins first is paid
        assert books(replace(fleet, events=tuple(parts))) == books(fleet)


@given(fleets(), st.lists(st.integers(0, 20)))
@QUICK
def test_an_event_that_is_told_again_counts_once(fleet: Fleet, again: list[int]) -> None:
    repeated = [fleet.events[number] for number in again if number < len(fleet.events)]
    assert books(replace(fleet, events=(*fleet.events, *repeated))) == books(fleet)


def test_a_moment_that_two_observers_tell_of_is_paid_once() -> None:
    one = books_of([paid(0, 600)], BOOK, HOUR)
    two = books_of([paid(0, 400, "former leader"), paid(300, 600, "new leader")], BOOK, HOUR)
    assert one.bill == two.bill


# --- 6, 7, 8, 11


@given(st.integers(1, 40), st.integers(1, 50), st.integers(1, 10**12))
@QUICK
def test_a_batch_of_equals_is_shared_equally(size: int, weight: int, nano: int) -> None:
    """Each within one nano-unit of the others, and all of them together what one alone would cost."""
    book = PriceBook("USD", (price(Item.CPU_CORE, nano),))
    batch = [usage(10, 13, reading(f"st-{number}"), weight) for number in range(size)]
    shares = [
        n
        for (_, line), n in by(books_of([paid(0, 60), *batch], book, HOUR), "study", "line").items()
        if line != "idle"
    ]
    alone = by(books_of([paid(0, 60), usage(10, 13, reading())], book, HOUR), "line")[("primary",)]
    assert sum(shares) == alone
    assert alone // size <= min(shares)
    assert max(shares) - min(shares) <= 1


@given(fleets())
@QUICK
def test_without_its_shadows_a_live_reading_costs_exactly_the_same(fleet: Fleet) -> None:
    alone = tuple(
        event
        for event in fleet.events
        if not (isinstance(event, Usage) and event.reading.mode is ReadingMode.SILENT)
    )
    assert live(books(replace(fleet, events=alone))) == live(books(fleet))


@given(fleets())
@QUICK
def test_a_reading_at_an_unknown_replica_costs_no_other_live_reading_anything(fleet: Fleet) -> None:
    marked = tuple(
        replace(event, reading=replace(event.reading, modality="MR"))
        if isinstance(event, Usage) and is_placeless(event)
        else event
        for event in fleet.events
    )
    alone = tuple(event for event in marked if not is_placeless(event))
    others = {one: n for one, n in live(books(replace(fleet, events=marked))).items() if one.modality != "MR"}
    assert others == live(books(replace(fleet, events=alone)))


def test_a_reading_at_an_unknown_replica_is_at_one_of_its_versions_that_were_paid_then() -> None:
    lost = usage(10, 30, reading(outcome=Outcome.FAILED, is_delivered=False), resource=NOT_KNOWN)
    elsewhere = paid(0, 100, resource="other", version="2")
    platform = paid(0, 100, resource="reader", deployment="StudyReader", model="", version="")
    gone = paid(0, 10, resource="gone")
    sums = by(
        books_of([elsewhere, platform, gone, paid(0, 100), lost], A_CORE_SECOND, HOUR), "line", "version"
    )
    told = {key: nano // 10**9 for key, nano in sums.items()}
    assert told == {("failed", "1"): 20, ("idle", "1"): 90, ("idle", "2"): 100, ("platform", ""): 100}
    assert by(books_of([elsewhere, lost], A_CORE_SECOND, HOUR), "line") == {("idle",): 100 * 10**9}


def test_a_shadow_beside_a_live_reading_pays_for_what_would_be_idle() -> None:
    events: list[CostEvent] = [paid(0, 100), usage(0, 50, reading()), usage(40, 60, silent())]
    sums = by(books_of(events, PriceBook("USD", (price(Item.CPU_CORE, 3600 * 10**9),)), HOUR), "line")
    assert sums == {("primary",): 100 * 10**9, ("shadow",): 20 * 10**9, ("idle",): 80 * 10**9}


@given(st.integers(1, 3599), st.integers(0, 10**12), st.integers(0, 10**12))
@QUICK
def test_a_price_changes_at_its_moment_and_not_before(second: int, before: int, after: int) -> None:
    change = PriceBook("USD", (price(Item.CPU_CORE, before), price(Item.CPU_CORE, after, at(second))))
    events: list[CostEvent] = [
        paid(0, 3600),
        usage(100, 3000, reading()),
        usage(50, 2000, reading("st-2"), 3),
    ]
    found = books_of(events, change, HOUR)
    for rate, part in ((before, Span(START, at(second))), (after, Span(at(second), HOUR.end))):
        only = PriceBook("USD", (price(Item.CPU_CORE, rate),))
        alone = books_of(events, only, part)
        assert books_of(events, change, part) == alone
        found = replace(found, amounts={k: n - alone.amounts.get(k, 0) for k, n in found.amounts.items()})
    assert set(found.amounts.values()) == {0}


def test_a_cancelled_reading_pays_until_it_lets_go() -> None:
    cancelled = reading(outcome=Outcome.CANCELLED, is_delivered=False)
    book = PriceBook("USD", (price(Item.CPU_CORE, 3600 * 10**9),))
    sums = by(books_of([paid(0, 100), usage(0, 30, cancelled)], book, HOUR), "line", "outcome")
    assert sums[("failed", "cancelled")] == 2 * 30 * 10**9


def test_loading_and_draining_are_told_apart_from_idling() -> None:
    phases = [(0, 10, Phase.LOAD), (10, 50, Phase.SERVE), (50, 60, Phase.DRAIN)]
    events = [paid(start, end, phase=phase) for start, end, phase in phases]
    sums = by(books_of([*events, usage(48, 55, reading())], A_CORE_SECOND, HOUR), "line")
    told = {line: nano // 10**9 for (line,), nano in sums.items()}
    assert told == {"load": 10, "idle": 38, "primary": 7, "drain": 5}


def test_an_item_without_a_price_is_told_and_costs_nothing() -> None:
    book = PriceBook("USD", (price(Item.CPU_CORE, 1, at(10)),))
    found = books_of([paid(0, 5)], book, HOUR)
    assert found.unpriced == {Item.CPU_CORE, Item.RAM_GIB}
    assert found.bill == {}


def test_what_a_reading_uses_of_a_resource_that_nobody_paid_costs_nothing_and_is_still_delivered() -> None:
    found = books_of([usage(0, 5, reading())], BOOK, HOUR)
    assert [(one.study, one.delivered, nano) for one, nano in found.amounts.items()] == [("st-1", True, 0)]


def test_minutes_of_a_reader_egress_and_storage_are_lines_of_their_own() -> None:
    of = reading()
    events = [
        Charge("c1", Item.READER_MINUTE, 90_000, at(1), of),
        Charge("c2", Item.EGRESS_GB, 2 * 10**9, at(1), of),
        Charge("c3", Item.STORAGE_GB_MONTH, 730 * 10**9 * 3, at(1), of),
        Charge("c4", Item.EGRESS_GB, 2 * 10**9, at(3600), of),  # of the next hour
    ]
    assert by(books_of(events, BOOK, HOUR), "line") == {
        ("review",): 6 * 10**9,
        ("egress",): 180_000_000,
        ("storage",): 69_000_000,
    }
