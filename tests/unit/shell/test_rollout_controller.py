"""How the control plane is wired: moves go to the ledger, an ended loop makes it unhealthy, and all is closed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ledger import Ledger
from serve_apps.control.publish import Move
from serve_apps.deployments.rollout_controller import RolloutController, note_moves_in

CONTROLLER: Any = RolloutController.func_or_class  # type: ignore[attr-defined]
PARTS = (
    "admission",
    "observer",
    "applications",
    "publisher",
    "watch",
    "pages",
    "subscription",
    "rollouts",
    "gates",
    "metrics",
    "reconciler",
    "registry_changes",
    "client",
    "ledger",
)


class Part:
    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


class AsyncPart:
    def __init__(self) -> None:
        self.is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True


class Replica(CONTROLLER):  # type: ignore[misc] # the class itself
    def __init__(self) -> None:
        """Opens nothing."""

    def __del__(self) -> None:
        """Serve awaits the real one."""


def a_controller(*loops: asyncio.Task[Any]) -> Any:
    """The deployment's class without what its constructor opens."""
    controller: Any = Replica()
    for name in PARTS:
        setattr(controller, f"_{name}", Part())
    controller._chores = (Part(), Part())
    controller._gate_calls = AsyncPart()
    controller._loops = list(loops)
    return controller


def test_an_alias_that_moved_is_written_once_however_often_it_is_noted(tmp_path: Path) -> None:
    """A controller that dies between the move and its state notes it again."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    note = note_moves_in(ledger)
    for _ in range(2):
        note([Move("ich", "champion", "1", "2", 7), Move("ich", "challenger", "2", None, 7)])
    moves = [(t.alias, t.old, t.new, t.generation) for t in ledger.transitions.history("ich")]
    assert moves == [("challenger", "2", None, 7), ("champion", "1", "2", 7)]
    ledger.close()


async def test_a_registry_elsewhere_has_no_changes_to_close() -> None:
    controller = a_controller()
    controller._registry_changes = None
    await CONTROLLER.__del__(controller)
    assert controller._ledger.is_closed


async def test_a_loop_that_ended_makes_the_controller_unhealthy() -> None:
    runs = asyncio.create_task(asyncio.Event().wait())
    controller = a_controller(runs)
    await controller.check_health()
    runs.cancel()
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="has ended"):
        await controller.check_health()


async def test_everything_is_closed_when_the_replica_is_stopped() -> None:
    loop = asyncio.create_task(asyncio.Event().wait())
    controller = a_controller(loop)
    await CONTROLLER.__del__(controller)
    await asyncio.sleep(0)
    assert loop.cancelled()
    assert all(getattr(controller, f"_{name}").is_closed for name in (*PARTS, "gate_calls"))
    assert all(chore.is_closed for chore in controller._chores)
