"""What has waited too long or was given up, as alarms. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

SHADOWS, OUTBOX = "shadows", "outbox"  # the subjects of the alarms


def backlog_alarms(oldest_shadow: timedelta | None, dead_letters: int, alarm_s: float) -> Mapping[str, str]:
    """By part of the platform. `oldest_shadow` is the age of the oldest pending shadow task, `alarm_s` the bound."""
    alarms = {}
    if oldest_shadow is not None and oldest_shadow.total_seconds() >= alarm_s:
        alarms[SHADOWS] = (
            f"the oldest shadow task has waited for {oldest_shadow.total_seconds() / 60:.0f} min"
        )
    if dead_letters:
        alarms[OUTBOX] = f"{dead_letters} deliveries were given up: `serinus status` lists them"
    return alarms
