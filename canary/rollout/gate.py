"""Outside systems that have a say in a rollout: which are asked, and what one said. Frozen values.

The words are Flagger's: confirm-rollout, confirm-promotion, rollback.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from canary.rollout.address import require_address


class GateKind(StrEnum):
    CONFIRM_ROLLOUT = "confirmRollout"  # before the first step
    CONFIRM_PROMOTION = "confirmPromotion"  # after the last one
    ROLLBACK = "rollback"  # at any time


@dataclass(frozen=True, slots=True)
class Gates:
    """The address of each; None where nobody is asked."""

    confirm_rollout: str | None = field(default=None, repr=False)
    confirm_promotion: str | None = field(default=None, repr=False)
    rollback: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for url in self.urls:
            require_address(url)

    def url(self, kind: GateKind) -> str | None:
        return {
            GateKind.CONFIRM_ROLLOUT: self.confirm_rollout,
            GateKind.CONFIRM_PROMOTION: self.confirm_promotion,
            GateKind.ROLLBACK: self.rollback,
        }[kind]

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(url for kind in GateKind if (url := self.url(kind)) is not None)


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """What a gate said of one run, and when: yes, no, or nothing that could be understood (None), with the reason."""

    kind: GateKind
    run: int
    says: bool | None
    reason: str
    at: datetime
