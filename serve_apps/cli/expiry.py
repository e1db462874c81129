"""When a key expires, as a person writes it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}


def expiry_of(text: str, at: datetime) -> datetime:
    """`12h` and `30d` count from `at`; a date is its beginning, UTC. Raises ValueError for anything else."""
    if span := re.fullmatch(r"([1-9]\d{0,3})([hd])", text):
        return at + int(span[1]) * UNITS[span[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("write the expiry as 12h, 30d or 2027-01-31") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
