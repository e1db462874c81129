"""What a price book has prices for, and in which whole numbers each is counted."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Item(StrEnum):
    """The values are stable: they stand in price books and in the ledger."""

    CPU_CORE = "cpu-core"
    GPU = "gpu"
    RAM_GIB = "ram-gib"
    ENERGY_KWH = "energy-kwh"  # only where electricity is not within the other prices
    READER_MINUTE = "reader-minute"
    EGRESS_GB = "egress-gb"
    STORAGE_GB_MONTH = "storage-gb-month"


TIMED: Final[Mapping[Item, int]] = MappingProxyType(
    {
        Item.CPU_CORE: 1000,  # thousandths of a core
        Item.GPU: 1000,  # thousandths of a GPU
        Item.RAM_GIB: 1024,  # MiB
        Item.ENERGY_KWH: 1000,  # W
    }
)
"""Paid by the time for which so much is held. How many of what is counted make the unit of the price."""

COUNTED: Final[Mapping[Item, int]] = MappingProxyType(
    {
        Item.READER_MINUTE: 60_000,  # ms
        Item.EGRESS_GB: 10**9,  # bytes
        Item.STORAGE_GB_MONTH: 730 * 10**9,  # bytes times hours; a month is 730 h
    }
)
"""Paid by the piece, as `TIMED`."""
