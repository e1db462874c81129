"""Where an amount is booked: every dimension that a report can be asked for, and the study."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from observability.cost.events import Charge, CostedReading, PaidTime, Phase, ReadingMode, Usage
from observability.cost.items import Item


class Line(StrEnum):
    """What an amount was for. Each amount has one."""

    PRIMARY = "primary"
    CANARY = "canary"  # live work of any other variant than the champion
    RETRY = "retry"  # live work of a second attempt or a later one
    FAILED = "failed"  # live work that delivered nothing
    SHADOW = "shadow"  # all that is read in silence
    REVIEW = "review"
    EGRESS = "egress"
    STORAGE = "storage"
    IDLE = "idle"
    LOAD = "load"
    DRAIN = "drain"


OVERHEAD: Final = frozenset({Line.IDLE, Line.LOAD, Line.DRAIN})
"""What no study used."""
CHARGES: Final = {
    Item.READER_MINUTE: Line.REVIEW,
    Item.EGRESS_GB: Line.EGRESS,
    Item.STORAGE_GB_MONTH: Line.STORAGE,
}
UNUSED: Final = {Phase.LOAD: Line.LOAD, Phase.SERVE: Line.IDLE, Phase.DRAIN: Line.DRAIN}
PRIMARY_VARIANT: Final = "champion"


class Account(NamedTuple):
    """The key of a posting; what does not apply is empty. `marginal`: not paid without the work."""

    line: str
    item: str
    study: str
    stage: str
    model: str
    version: str
    variant: str
    site: str
    modality: str
    outcome: str
    delivered: bool
    marginal: bool


def account_of_usage(usage: Usage, item: Item, *, marginal: bool) -> Account:
    return _account(usage.reading, line_of(usage.reading), item.value, usage.stage.value, marginal)


def account_of_charge(charge: Charge) -> Account:
    return _account(charge.reading, CHARGES[charge.item], charge.item.value, "", True)


def account_of_delivery(reading: CostedReading) -> Account:
    """Where nothing is booked, but that the study was delivered."""
    return _account(reading, line_of(reading), "", "", False)


def account_of_rest(paid: PaidTime, item: Item) -> Account:
    """Of the paid time that nobody used."""
    about = (paid.model, paid.version, "", paid.site, "", "")
    return Account(UNUSED[paid.phase].value, item.value, "", "", *about, False, paid.is_elastic)


def line_of(reading: CostedReading) -> Line:
    """What a reading's time is for."""
    if reading.mode is ReadingMode.SILENT:
        return Line.SHADOW
    if not reading.is_delivered:
        return Line.FAILED
    if reading.attempt > 1:
        return Line.RETRY
    return Line.PRIMARY if reading.variant == PRIMARY_VARIANT else Line.CANARY


def _account(reading: CostedReading, line: Line, item: str, stage: str, marginal: bool) -> Account:
    return Account(
        line.value,
        item,
        reading.study,
        stage,
        reading.model,
        reading.version,
        reading.variant,
        reading.site,
        reading.modality,
        reading.outcome.value,
        reading.is_delivered,
        marginal,
    )
