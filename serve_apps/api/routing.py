"""The HTTP surface of routing: what a platform engineer may change, and why a study was read by whom.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from collections.abc import Callable
from typing import Annotated, Any, Protocol

from fastapi import Depends, FastAPI, Header, Query

from canary.routing_table import Rule
from serve_apps.api.ab_tests import add_ab_tests
from serve_apps.api.auth import Caller, Scope
from serve_apps.api.problem_docs import PROBLEMS
from serve_apps.api.schemas import FreezeIn, PinIn, RulesIn, SafetyNetIn, ShadowIn, WeightIn
from serve_apps.application.ab_tests import ABService
from serve_apps.application.routing import RoutingService

Guard = Callable[[Scope], Callable[..., Caller]]


class HasRouting(Protocol):
    routing: RoutingService
    ab_tests: ABService


def add_routes(app: FastAPI, services: Callable[[], HasRouting], need: Guard) -> None:
    """Everything below `/v1/routes`, the freeze, explanations and the event stream."""
    _add_reading(app, services, need)
    _add_audit(app, services, need)
    actor = _actor(need)
    _add_changing(app, services, actor)
    _add_ending(app, services, actor)
    add_ab_tests(app, services, need, actor)


def _add_reading(app: FastAPI, services: Callable[[], HasRouting], need: Guard) -> None:
    reader = need(Scope.RESULTS_READ)

    @app.get("/v1/routes", responses=PROBLEMS, tags=["routing"])
    async def routes(_: Annotated[Caller, Depends(reader)]) -> dict[str, Any]:
        return await services().routing.routes()

    @app.get("/v1/jobs/{job_id}/explain", responses=PROBLEMS, tags=["routing"])
    async def explain(job_id: str, _: Annotated[Caller, Depends(reader)]) -> dict[str, Any]:
        """Why which version read this study, recomputed from the ledger."""
        return await services().routing.explain(job_id)

    @app.get("/v1/events", responses=PROBLEMS, tags=["routing"])
    async def events(
        _: Annotated[Caller, Depends(reader)], cursor: Annotated[int, Query(ge=0)] = 0
    ) -> dict[str, Any]:
        """Critical disagreements, oldest first; ask again with the cursor that came back."""
        return await services().routing.events(cursor)


def _add_audit(app: FastAPI, services: Callable[[], HasRouting], need: Guard) -> None:
    @app.get("/v1/audit", responses=PROBLEMS, tags=["routing"])
    async def audit(
        _: Annotated[Caller, Depends(need(Scope.ADMIN))],
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    ) -> dict[str, Any]:
        """Who changed what, newest first; `first_broken` is the first row that was tampered with, or null."""
        return await services().routing.audit(limit)


def _actor(need: Guard) -> Callable[..., str]:
    admin = need(Scope.ADMIN)

    def actor(
        caller: Annotated[Caller, Depends(admin)],
        x_serinus_actor: Annotated[str | None, Header(max_length=100)] = None,
    ) -> str:
        """Who did it, for the audit: the key's name, and the person it speaks for."""
        return f"{caller.name}/{x_serinus_actor}" if x_serinus_actor else caller.name

    return actor


def _add_changing(app: FastAPI, services: Callable[[], HasRouting], actor: Callable[..., str]) -> None:
    @app.put("/v1/routes/{model}/weight", responses=PROBLEMS, tags=["routing"])
    async def set_weight(model: str, wish: WeightIn, who: Annotated[str, Depends(actor)]) -> dict[str, Any]:
        await services().routing.set_weight(model, wish.version, wish.weight_bp, who)
        return await services().routing.routes()

    @app.put("/v1/routes/{model}/shadow", responses=PROBLEMS, tags=["routing"])
    async def set_shadow(model: str, wish: ShadowIn, who: Annotated[str, Depends(actor)]) -> dict[str, Any]:
        await services().routing.set_shadow(model, wish.alias, wish.percent * 100, who)
        return await services().routing.routes()

    @app.put("/v1/routes/{model}/safety-net", responses=PROBLEMS, tags=["routing"])
    async def set_safety_net(
        model: str, wish: SafetyNetIn, who: Annotated[str, Depends(actor)]
    ) -> dict[str, Any]:
        await services().routing.set_safety_net(model, wish.share_bp, who)
        return await services().routing.routes()

    @app.put("/v1/routes/{model}/rules", responses=PROBLEMS, tags=["routing"])
    async def set_rules(model: str, wish: RulesIn, who: Annotated[str, Depends(actor)]) -> dict[str, Any]:
        """All explicit rules of the model, in the order in which they are tried."""
        rules = [Rule(r.name, r.variant, r.sites, r.modalities, r.scanners) for r in wish.rules]
        await services().routing.set_rules(model, rules, who)
        return await services().routing.routes()

    @app.put("/v1/routes/{model}/pin", responses=PROBLEMS, tags=["routing"])
    async def pin(model: str, wish: PinIn, who: Annotated[str, Depends(actor)]) -> dict[str, Any]:
        """Pin one patient to a variant, or take the pin away; only the pseudonym is kept."""
        await services().routing.pin(model, wish.patient_id, wish.variant, who)
        return await services().routing.routes()


def _add_ending(app: FastAPI, services: Callable[[], HasRouting], actor: Callable[..., str]) -> None:
    @app.delete("/v1/routes/{model}/owed/{version}", responses=PROBLEMS, tags=["routing"])
    async def abandon(
        model: str,
        version: str,
        reason: Annotated[str, Query(min_length=3, max_length=200)],
        who: Annotated[str, Depends(actor)],
    ) -> dict[str, int]:
        """Give up the silent readings that a version still owes; each is kept as a failure."""
        return {"abandoned": await services().routing.abandon(model, version, reason, who)}

    @app.put("/v1/freeze", responses=PROBLEMS, tags=["routing"])
    async def freeze(wish: FreezeIn, who: Annotated[str, Depends(actor)]) -> dict[str, Any]:
        """The kill switch: all traffic to the champions, and nothing moves."""
        await services().routing.freeze(wish.reason, who)
        return await services().routing.routes()

    @app.delete("/v1/freeze", responses=PROBLEMS, tags=["routing"])
    async def unfreeze(who: Annotated[str, Depends(actor)]) -> dict[str, Any]:
        await services().routing.unfreeze(who)
        return await services().routing.routes()
