"""The slots of a model's rollout and of its A/B test: they may run beside each other if they share no patient."""

from __future__ import annotations

from typing import Any

from canary.routing_table import Slot, are_exclusive
from core.errors import ExperimentUnderWay


def require_exclusive(rollout: Slot | None, test: Slot | None, instead: str) -> None:
    """Raise ExperimentUnderWay unless the slots of a model's rollout and of its A/B test share no patient."""
    if are_exclusive(rollout, test):
        return
    raise ExperimentUnderWay(
        f"{instead}, or give both slots of one layer that do not overlap: "
        f"the rollout has {rollout or 'all patients'}, the test {test or 'all patients'}"
    )


def keeps_everybody(before: Slot | None, after: Slot | None) -> bool:
    """Whether each patient that was in the one slot is in the other."""
    return after is None or (before is not None and after.contains(before))


def slot_document(slot: Slot | None) -> dict[str, Any] | None:
    """A slot as the audit tells it."""
    return None if slot is None else {"layer": slot.layer, "start": slot.start, "stop": slot.stop}
