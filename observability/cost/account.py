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
    PLATFORM = "platform"  # what is there for all versions, while it works for no study


OVERHEAD: Final = frozenset({Line.IDLE, Line.LOAD, Line.DRAIN, Line.PLATFORM})
"""What no study used."""
CHARGES: Final = {
    Item.READER_MINUTE: Line.REVIEW,
    Item.EGRESS_GB: Line.EGRESS,
    Item.STORAGE_GB_MONTH: Line.STORAGE,
}
UNUSED: Final = {Phase.LOAD: Line.LOAD, Phase.SERVE: Line.IDLE, Phase.DRAIN: Line.DRAIN}
PRIMARY_VARIANT: Final = "champion"


class Account(NamedTuple):
    """The key of a posting; what does not apply is empty. `marginal`: not paid without the work.

    `deployment` names the part of the platform whose time it is.
    """

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
    deployment: str = ""


def account_of_usage(usage: Usage, item: Item, by: PaidTime) -> Account:
    """Of a time that was paid `by` an event."""
    line = line_of(usage.reading)
    account = _account(usage.reading, line, item.value, usage.stage.value, by.is_elastic)
    return account._replace(deployment=by.deployment)


def account_of_charge(charge: Charge) -> Account:
    return _account(charge.reading, CHARGES[charge.item], charge.item.value, "", True)


def account_of_delivery(reading: CostedReading) -> Account:
    """Where nothing is booked, but that the study was delivered."""
    return _account(reading, line_of(reading), "", "", False)


def account_of_rest(paid: PaidTime, item: Item) -> Account:
    """Of the paid time that nobody used."""
    about = (paid.model, paid.version, "", paid.site, "", "")
    line = Line.PLATFORM if paid.deployment else UNUSED[paid.phase]
    return Account(line.value, item.value, "", "", *about, False, paid.is_elastic, paid.deployment)


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
