"""Random fleets: replicas that are paid for, and readings that use them, alone and beside each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from hypothesis import strategies as st

from observability.cost.apportion import NOT_KNOWN
from observability.cost.events import (
    Charge,
    CostedReading,
    CostEvent,
    Holding,
    PaidTime,
    Phase,
    ReadingMode,
    Usage,
)
from observability.cost.items import Item
from observability.cost.price_book import HOUR_NS, Per, Price, PriceBook
from observability.cost.spans import Span
from observability.names import Stage
from observability.record import Outcome

START: Final = 490_000 * HOUR_NS
HOUR: Final = Span(START, START + HOUR_NS)
PLATFORM: Final = ("", "", "StudyReader", "Ingress")
TWO_CORES = (Holding(Item.CPU_CORE, 2000), Holding(Item.RAM_GIB, 3072))


def price(item: Item, nano: int, since_ns: int = 0, per: Per | None = Per.HOUR) -> Price:
    return Price(item, nano, since_ns, per)


BOOK = PriceBook(
    "USD",
    (
        price(Item.CPU_CORE, 40_000_000),
        price(Item.RAM_GIB, 5_000_001),
        price(Item.GPU, 2_500_000_000),
        price(Item.READER_MINUTE, 4_000_000_000, per=None),
        price(Item.EGRESS_GB, 90_000_000, per=None),
        price(Item.STORAGE_GB_MONTH, 23_000_000, per=None),
    ),
)


def reading(study: str = "st-1", **other: object) -> CostedReading:
    known = CostedReading(study, "ich", "1", "champion", Outcome.OK, True, site="north", modality="CT")
    return replace(known, **other)  # type: ignore[arg-type]


def silent(study: str = "st-1", **other: object) -> CostedReading:
    return reading(study, is_delivered=False, mode=ReadingMode.SILENT, variant="challenger", **other)


def paid(start_s: float, end_s: float, event: str = "", resource: str = "r", **other: object) -> PaidTime:
    known = PaidTime(
        event or f"p-{resource}-{start_s}-{end_s}",
        resource,
        at(start_s),
        at(end_s),
        TWO_CORES,
        model="ich",
        version="1",
    )
    return replace(known, **other)  # type: ignore[arg-type]


def usage(start_s: float, end_s: float, of: CostedReading, weight: int = 1, **other: object) -> Usage:
    name = f"u-{of.study}-{of.mode}-{start_s}-{end_s}"
    return replace(Usage(name, "r", Stage.FORWARD, at(start_s), at(end_s), of, weight), **other)  # type: ignore[arg-type]


def at(second: float) -> int:
    return START + round(second * 10**9)


@dataclass(frozen=True, slots=True)
class Fleet:
    events: tuple[CostEvent, ...]
    book: PriceBook


moments = st.integers(-4, 41).map(lambda step: START + step * 97_000_000_007)  # few, so that much overlaps
READINGS = st.sampled_from(  # of a fixed list: drawing each field by itself takes most of a test's time
    [
        CostedReading(
            f"st-{number % 6}",
            model=("ich", "lungs")[number % 2],
            version="12"[number // 3 % 2],
            variant=("champion", "canary")[number // 5 % 2],
            outcome=outcome,
            is_delivered=mode is ReadingMode.LIVE and outcome is Outcome.OK,
            mode=mode,
            attempt=1 + number // 7 % 2,
            site=("north", "south")[number // 2 % 2],
            modality=("CT", "DX")[number // 4 % 2],
        )
        for number, (mode, outcome) in enumerate(
            [(r, o) for _ in range(6) for r in ReadingMode for o in Outcome]
        )
    ]
)


@st.composite
def _spans(draw: st.DrawFn) -> tuple[int, int]:
    start, end = sorted((draw(moments), draw(moments)))
    return start, end


@st.composite
def _paid(draw: st.DrawFn, number: int) -> PaidTime:
    start, end = draw(_spans())
    kind = draw(st.integers(0, 35))
    return PaidTime(
        f"p{number}",
        draw(st.sampled_from("aab")),
        start,
        end,
        (TWO_CORES, (Holding(Item.GPU, 333),), (Holding(Item.CPU_CORE, 1),))[kind % 3],
        tuple(Phase)[kind // 3 % 3],
        model=("ich", "lungs")[kind % 2],
        version="12"[kind // 9 % 2],
        is_elastic=kind >= 18,
        deployment=PLATFORM[kind // 4 % 4],
    )


@st.composite
def _usage(draw: st.DrawFn, number: int) -> Usage:
    start, end = draw(_spans())
    stage = (Stage.PREPARE, Stage.FORWARD)[number % 2]
    weight = draw(st.integers(1, 100))
    place = draw(st.sampled_from(["a", "a", "b", NOT_KNOWN]))
    return Usage(f"u{number}", place, stage, start, end, draw(READINGS), weight)


@st.composite
def _charge(draw: st.DrawFn, number: int) -> Charge:
    item = draw(st.sampled_from([Item.READER_MINUTE, Item.EGRESS_GB, Item.STORAGE_GB_MONTH]))
    return Charge(f"c{number}", item, draw(st.integers(0, 10**13)), draw(moments), draw(READINGS))


@st.composite
def books(draw: st.DrawFn) -> PriceBook:
    """A book whose prices change within the hour."""
    change, nano = draw(moments), draw(st.integers(0, 10**11))
    known = [replace(one, nano=nano + number) for number, one in enumerate(BOOK.prices)]
    later = [
        replace(one, since_ns=change + number // 2, nano=nano * 3 // 7)
        for number, one in enumerate(known)
        if number % 3
    ]
    return PriceBook("USD", (*known, *later))


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    events: list[CostEvent] = [draw(_paid(number)) for number in range(draw(st.integers(0, 5)))]
    events += [draw(_usage(number)) for number in range(draw(st.integers(0, 9)))]
    events += [draw(_charge(number)) for number in range(draw(st.integers(0, 3)))]
    return Fleet(tuple(events), draw(books()))
