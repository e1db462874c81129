"""Who is told of a rollout's changes, and what each change is called. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from canary.rollout.address import require_address
from canary.rollout.status import RolloutPhase, RolloutStatus


class NoticeKind(StrEnum):
    STARTED = "started"
    CONFIRMED = "confirmed"  # by the gate confirmRollout
    STEP = "step"
    WEIGHT = "weight"
    APPROVED = "approved"
    PAUSED = "paused"
    RESUMED = "resumed"
    PROMOTING = "promoting"
    PROMOTED = "promoted"  # the alias names the candidate
    SURVEILLING = "surveilling"
    ROLLING_BACK = "rolling-back"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Notification:
    """An address that is told of changes, of all of them or of some."""

    url: str = field(repr=False)
    events: tuple[NoticeKind, ...] = ()

    def __post_init__(self) -> None:
        require_address(self.url)
        if len(set(self.events)) != len(self.events):
            raise ValueError("each event of a notification stands there once")

    def wants(self, kind: NoticeKind) -> bool:
        return not self.events or kind in self.events


_PHASES: Final = {
    RolloutPhase.PROGRESSING: NoticeKind.RESUMED,
    RolloutPhase.PAUSED: NoticeKind.PAUSED,
    RolloutPhase.PROMOTING: NoticeKind.PROMOTING,
    RolloutPhase.SURVEILLING: NoticeKind.SURVEILLING,
    RolloutPhase.ROLLING_BACK: NoticeKind.ROLLING_BACK,
    RolloutPhase.FAILED: NoticeKind.FAILED,
    RolloutPhase.SUPERSEDED: NoticeKind.SUPERSEDED,
    RolloutPhase.COMPLETED: NoticeKind.COMPLETED,
}


def kind_of(before: RolloutStatus | None, after: RolloutStatus) -> NoticeKind:
    """What a change is called, by the most that it changes. `before` is None, or another run, at a beginning."""
    if before is None or before.run != after.run:
        return NoticeKind.STARTED
    if after.is_promoted and not before.is_promoted and not after.has_ended:
        return NoticeKind.PROMOTED
    if (before.phase, before.pause) != (after.phase, after.pause):
        is_resumed = before.phase is RolloutPhase.PAUSED and after.phase is RolloutPhase.SURVEILLING
        return NoticeKind.RESUMED if is_resumed else _PHASES[after.phase]
    if before.step != after.step:
        return NoticeKind.STEP
    if before.confirmed_at is None and after.confirmed_at is not None:
        return NoticeKind.CONFIRMED
    return NoticeKind.WEIGHT if before.weight_bp != after.weight_bp else NoticeKind.APPROVED
