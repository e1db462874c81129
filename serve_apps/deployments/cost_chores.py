"""What the controller does for the books of costs. A site without a price book keeps none, and does nothing of it."""

from __future__ import annotations

from typing import Final

from ledger import Ledger
from serve_apps.control.chore import Chore, while_leading
from serve_apps.control.cost_looks import CostLooks, CostWorld
from serve_apps.settings import Settings

LOOK_S: Final = 5.0  # between two looks at which replicas live
FOLDS_S: Final = 2.0


def cost_chores(settings: Settings, ledger: Ledger, world: CostWorld) -> tuple[Chore, ...]:
    """`world` is where it is seen what is paid for."""

    def add_to_costs() -> None:
        while ledger.costs.fold():
            pass

    return (
        Chore("costs", while_leading(world.leads, add_to_costs), FOLDS_S),
        Chore("paid-times", CostLooks(world, ledger.costs).look, LOOK_S),
    )
