"""What the controller does for the books of costs. A site without a price book keeps none, and does nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from core.clock import now
from ledger import Ledger
from serve_apps.application.budgets import SiteBudgets
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.application.tell_costs import CostTelling
from serve_apps.control.chore import Chore, while_leading
from serve_apps.control.cost_looks import CostLooks, CostWorld
from serve_apps.settings import Settings

LOOK_S: Final = 5.0  # between two looks at which replicas live
FOLDS_S: Final = 2.0
CHARGES_S: Final = 60.0
BUDGETS_S: Final = 60.0
SEAL_S: Final = 3600.0


def cost_chores(
    settings: Settings,
    ledger: Ledger,
    world: CostWorld,
    budgets: SiteBudgets | None,
    snapshot: Callable[[], RoutingSnapshot],
) -> tuple[Chore, ...]:
    """`world` is where it is seen what is paid for. `budgets` is None where the site has no price book."""
    if settings.price_book is None or budgets is None:
        return ()
    telling = CostTelling(ledger.cost_charges, settings.price_book, settings.site)
    kept_days = min(
        settings.keep_cost_events_days, settings.keep_evidence_days or settings.keep_cost_events_days
    )

    def add_to_costs() -> None:
        while ledger.costs.fold():
            pass

    def judge_budgets() -> None:
        budgets.look(tuple(snapshot().endpoints.values()), now())

    def seal_old_hours() -> None:
        ledger.costs.seal(now() - timedelta(days=kept_days))

    return (
        Chore("costs", while_leading(world.leads, add_to_costs), FOLDS_S),
        Chore("paid-times", CostLooks(world, ledger.costs).look, LOOK_S),
        Chore("charges", while_leading(world.leads, telling.look), CHARGES_S),
        Chore("budgets", while_leading(world.leads, judge_budgets), BUDGETS_S),
        Chore("sealed-costs", while_leading(world.leads, seal_old_hours), SEAL_S, first_after_s=SEAL_S),
    )
