"""Routing by HTTP: what a platform engineer may change, and why a study was read by whom.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from canary.routing_table import Rule
from serve_apps.api.dependencies import (
    MUST_ADMINISTER,
    MUST_READ,
    Actor,
    JobId,
    ModelName,
    Reader,
    Services,
    Site,
    Version,
)
from serve_apps.api.problems import problems
from serve_apps.api.routing_mapping import (
    audit_document,
    explanation_document,
    freeze_out,
    routes_document,
    slot_of,
)
from serve_apps.api.routing_schemas import (
    FreezeIn,
    FreezeOut,
    LayerIn,
    PinIn,
    RulesIn,
    SafetyNetIn,
    ShadowIn,
    WeightIn,
)
from serve_apps.api.schemas import NO_NUL
from serve_apps.api.strict_json import StrictRoute

router = APIRouter(prefix="/v1", tags=["routing"], responses=problems(409), route_class=StrictRoute)


@router.get("/routes", dependencies=[MUST_READ])
async def get_routes(services: Site) -> dict[str, Any]:
    """Who reads what now, and what people have set."""
    return await _routes(services)


@router.get("/jobs/{job_id}/explain")
async def explain(services: Site, caller: Reader, job_id: JobId) -> dict[str, Any]:
    """Why which version read this study, recomputed from the ledger; why nobody did, if the job failed."""
    explained = await services.routing.explain(job_id, caller)
    words = await services.jobs.in_words(job_id, caller)
    return explanation_document(explained, words, await services.truth.of_job(job_id, caller))


@router.get("/audit", dependencies=[MUST_ADMINISTER])
async def audit(
    services: Site, limit: Annotated[int, Query(ge=1, le=1000)] = 50, full: bool = False
) -> dict[str, Any]:
    """Who changed what, newest first; `problem` says what was tampered with, `first_broken` from which row on.

    Verified is what was written since the anchor, which is moved each minute; with `full` every row.
    """
    return audit_document(await services.routing.audit(limit, full))


@router.put("/routes/{model}/weight")
async def set_weight(services: Site, actor: Actor, model: ModelName, change: WeightIn) -> dict[str, Any]:
    """Send a share of the patients to the challenger."""
    await services.routing.set_weight(
        model,
        change.version,
        change.weight_bp,
        actor=actor,
        expected_revision=change.expected_revision,
        in_advance=change.expires_in,
    )
    return await _routes(services)


@router.put("/routes/{model}/layer")
async def set_layer(services: Site, actor: Actor, model: ModelName, change: LayerIn) -> dict[str, Any]:
    """Give the model's rollouts a slot of a layer, beside which an A/B test may have another.

    409 while that would take patients from a version that has a weight, or give it those of an A/B test.
    """
    await services.routing.set_slot(
        model, slot_of(change.slot), actor=actor, expected_revision=change.expected_revision
    )
    return await _routes(services)


@router.put("/routes/{model}/shadow")
async def set_shadow(services: Site, actor: Actor, model: ModelName, change: ShadowIn) -> dict[str, Any]:
    """Have a version read a share of the studies without answering."""
    share_bp = change.percent * 100
    await services.routing.set_shadow(
        model, change.alias, share_bp, actor=actor, in_advance=change.expires_in
    )
    return await _routes(services)


@router.put("/routes/{model}/safety-net")
async def set_safety_net(
    services: Site, actor: Actor, model: ModelName, change: SafetyNetIn
) -> dict[str, Any]:
    """Have the champion read a share of the canary's studies too."""
    await services.routing.set_safety_net(model, change.share_bp, actor=actor)
    return await _routes(services)


@router.put("/routes/{model}/rules")
async def set_rules(services: Site, actor: Actor, model: ModelName, change: RulesIn) -> dict[str, Any]:
    """Set all explicit rules of the model, in the order in which they are tried."""
    rules = [Rule(r.name, r.variant, r.sites, r.modalities, r.scanners) for r in change.rules]
    await services.routing.set_rules(model, rules, actor=actor, in_advance=change.expires_in)
    return await _routes(services)


@router.put("/routes/{model}/pin")
async def pin(services: Site, actor: Actor, model: ModelName, change: PinIn) -> dict[str, Any]:
    """Pin one patient to a variant, or take the pin away; only the pseudonym is kept."""
    if change.variant is None:
        await services.routing.unpin(model, change.patient_id, actor=actor)
    else:
        await services.routing.pin(
            model, change.patient_id, change.variant, actor=actor, in_advance=change.expires_in
        )
    return await _routes(services)


@router.delete("/routes/{model}/pending/{version}")
async def discard_shadows(
    services: Site,
    actor: Actor,
    model: ModelName,
    version: Version,
    reason: Annotated[str, Query(pattern=NO_NUL, min_length=3, max_length=200)],
) -> dict[str, int]:
    """Discard the shadows that a version has pending; each is kept as a failure."""
    return {"discarded": await services.routing.discard_shadows(model, version, reason, actor=actor)}


@router.put("/freeze")
async def freeze(services: Site, actor: Actor, change: FreezeIn) -> FreezeOut:
    """The kill switch: all traffic to the champions, and nothing moves. Needs no controller and no ledger.

    503 when neither the ledger has it nor every live replica has confirmed it.
    """
    return freeze_out(await services.freeze.freeze(change.reason, actor))


@router.delete("/freeze")
async def unfreeze(services: Site, actor: Actor) -> FreezeOut:
    """End the freeze: aliases and weights count again."""
    return freeze_out(await services.freeze.unfreeze(actor))


async def _routes(services: Services) -> dict[str, Any]:
    return routes_document(await services.routing.routes())
