"""What has waited too long or was given up, as alarms. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from canary.recall import recall_alarm
from ledger import OpenRecall

SHADOWS, OUTBOX, READERS = "shadows", "outbox", "readers"  # the subjects of the alarms
POISON_SHOWN: Final = timedelta(hours=24)
RECALL_SHOWN: Final = 8  # digits of a list's id


def recall_alarms(lists: Iterable[OpenRecall]) -> Mapping[str, str]:
    """By model and list: how many studies of a withdrawn version wait for a person. No alarm names a study."""
    return {
        f"{one.model}/recall {one.recall[:RECALL_SHOWN]}": recall_alarm(
            one.version, one.run, one.open_items, one.to_look_now
        )
        for one in lists
    }


def backlog_alarms(
    oldest_shadow: timedelta | None, dead_letters: int, alarm_s: float, poison_studies: int = 0
) -> Mapping[str, str]:
    """By part of the platform. `oldest_shadow` is the age of the oldest pending shadow task, `alarm_s` the bound;
    `poison_studies` are those of the last 24 hours.
    """
    alarms = {}
    if oldest_shadow is not None and oldest_shadow.total_seconds() >= alarm_s:
        alarms[SHADOWS] = (
            f"the oldest shadow task has waited for {oldest_shadow.total_seconds() / 60:.0f} min"
        )
    if dead_letters:
        alarms[OUTBOX] = f"{dead_letters} deliveries were given up: `serinus status` lists them"
    if poison_studies:
        alarms[READERS] = (
            f"{poison_studies} studies of the last 24 hours ended each process that read them and are read no more: "
            "`GET /v1/jobs` lists them as poison-study"
        )
    return alarms
