"""Charges that no reading's record tells of: minutes of readers, bytes that leave the site, bytes that are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from observability.cost.events import Charge, CostedReading, ReadingMode
from observability.cost.items import Item
from observability.cost.price_book import HOUR_NS
from observability.record import Outcome

MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class CausedBy:
    """The version that something was paid for, and the study, as far as they are known."""

    study: str = ""
    model: str = ""
    version: str = ""
    variant: str = ""
    site: str = ""
    modality: str = ""


def review(answer: str, minutes: float, at_ns: int, by: CausedBy) -> Charge:
    """A reader's answer to an item of the adjudication queue, which took so long by the site's own estimate."""
    return Charge(
        f"review:{answer}",
        Item.READER_MINUTE,
        round(minutes * MINUTE_MS),
        at_ns,
        _reading(by, ReadingMode.LIVE),
    )


def egress(delivery: str, size: int, at_ns: int, by: CausedBy) -> Charge:
    """A delivery of `size` bytes that arrived outside of the site."""
    return Charge(f"egress:{delivery}", Item.EGRESS_GB, size, at_ns, _reading(by, ReadingMode.LIVE))


def storage(hour: int, size: int, by: CausedBy) -> Charge:
    """So many bytes kept for an hour, which is counted from the epoch."""
    event = f"storage:{hour}:{by.model}:{by.version}"[:96]
    return Charge(event, Item.STORAGE_GB_MONTH, size, hour * HOUR_NS, _reading(by, ReadingMode.LIVE))


def _reading(by: CausedBy, mode: ReadingMode) -> CostedReading:
    """Nothing of a charge is a study that was delivered: its reading tells of that."""
    about = (by.study, by.model, by.version, by.variant)
    return CostedReading(*about, Outcome.OK, False, mode, site=by.site, modality=by.modality)
