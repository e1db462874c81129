"""What those are told who are notified of a rollout's changes. Pure.

Each event of a run is one message with an id of its own, which stays the same however often it is delivered.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from hashlib import sha256
from typing import Any, Final

from canary.rollout.advance import Event
from canary.rollout.notice import NoticeKind, kind_of
from canary.rollout.plan import RolloutPlan
from canary.rollout.status import RolloutStatus
from ledger.records import Delivery

NOTICE: Final = "rollout-notice"


def notices_of(
    plan: RolloutPlan, event: Event, number: int, *, is_first: bool
) -> Iterator[tuple[str, Delivery]]:
    """A delivery for each address that wants the event, with an id that is always the same.

    `number` is the event's in its run; `is_first` for a beginning, whose event has no status before it.
    """
    before = None if is_first else event.before
    kind = kind_of(before, event.after)
    said = _said(plan, event, number, kind, before)
    for one in plan.notifications:
        if one.wants(kind):
            yield _delivery_id(said["id"], one.url), Delivery(NOTICE, one.url, payload=said)


def message_id(model: str, run: int, number: int) -> str:
    return f"{model}/{run}/{number}"


def _said(
    plan: RolloutPlan, event: Event, number: int, kind: NoticeKind, before: RolloutStatus | None
) -> dict[str, Any]:
    after = event.after
    return {
        "id": message_id(after.model, after.run, number),
        "type": f"rollout.{kind}",
        "timestamp": event.at.astimezone(UTC).isoformat(),
        "data": {
            "rollout": plan.name,
            "model": after.model,
            "candidate": after.candidate,
            "stable": after.stable,
            "run": after.run,
            "number": number,
            "phase": after.phase.value,
            "phase_before": None if before is None else before.phase.value,
            "step": after.step,
            "steps": len(plan.steps),
            "weight_bp": after.weight_bp,
            "is_promoted": after.is_promoted,
            "actor": event.actor,
            "reason": event.reason,
        },
    }


def _delivery_id(message: str, url: str) -> str:
    """The key of a row in the outbox; a plan names each address once."""
    return sha256(f"{message} {url}".encode()).hexdigest()[:32]
