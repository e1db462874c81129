"""The HTTP surface of A/B tests.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from collections.abc import Callable
from typing import Annotated, Any, Protocol

from fastapi import Depends, FastAPI

from canary.routing_table import Slot
from serve_apps.api.auth import Caller, Scope
from serve_apps.api.problem_docs import PROBLEMS
from serve_apps.api.schemas import ABTestIn
from serve_apps.application.ab_tests import ABService

Guard = Callable[[Scope], Callable[..., Caller]]
LAYER_SALT = "layer/"  # every experiment of a layer draws its place in it alike


class HasTests(Protocol):
    ab_tests: ABService


def add_ab_tests(
    app: FastAPI, services: Callable[[], HasTests], need: Guard, actor: Callable[..., str]
) -> None:
    """`/v1/ab-tests/{model}`: put, get, delete."""

    @app.put("/v1/ab-tests/{model}", responses=PROBLEMS, tags=["routing"])
    async def start(model: str, wish: ABTestIn, who: Annotated[str, Depends(actor)]) -> dict[str, Any]:
        """Split the patients between the versions behind two or more `arm-…` aliases."""
        tests = services().ab_tests
        await tests.start(model, wish.weights_bp, wish.coverage_bp, slot_of(wish), who)
        return await tests.report(model)

    @app.get("/v1/ab-tests/{model}", responses=PROBLEMS, tags=["routing"])
    async def report(model: str, _: Annotated[Caller, Depends(need(Scope.RESULTS_READ))]) -> dict[str, Any]:
        """Metrics by arm, and whether the split is the one that was asked for."""
        return await services().ab_tests.report(model)

    @app.delete("/v1/ab-tests/{model}", status_code=204, responses=PROBLEMS, tags=["routing"])
    async def end(model: str, who: Annotated[str, Depends(actor)]) -> None:
        await services().ab_tests.end(model, who)


def slot_of(wish: ABTestIn) -> Slot | None:
    if wish.slot is None:
        return None
    return Slot(wish.slot.layer, f"{LAYER_SALT}{wish.slot.layer}", wish.slot.start, wish.slot.stop)
