"""Health, what is in service, what waits, and what MLflow has to say.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from fastapi import APIRouter, Request

from ledger import DeadLetter
from serve_apps.api.dependencies import MUST_READ, Reader, Site
from serve_apps.api.problems import problems
from serve_apps.api.schemas import (
    DeadLetterOut,
    FrozenOut,
    ModelsOut,
    PendingShadowsOut,
    QueueOut,
    VariantOut,
)
from serve_apps.api.strict_json import StrictRoute
from serve_apps.application.overview import FreezeStatus
from serve_apps.application.routing_snapshot import VariantStatus

router = APIRouter(tags=["system"], responses=problems(), route_class=StrictRoute)


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """This process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(services: Site) -> dict[str, str]:
    """503 until every champion can answer, and while the ledger is away."""
    await services.overview.require_ready()
    return {"status": "ready"}


@router.get("/v1/models", dependencies=[MUST_READ])
async def models(services: Site) -> ModelsOut:
    """Every version with a role, its state and why; alarms."""
    snapshot = services.overview.snapshot()
    return ModelsOut(
        generation=snapshot.generation,
        registry=snapshot.registry,
        site_policy=services.settings.site_policy.value,
        alarms=dict(await services.overview.alarms()),
        conditions=dict(snapshot.conditions),
        frozen=frozen_out(await services.overview.frozen()),
        variants=tuple(variant_out(variant) for variant in snapshot.variants),
    )


@router.post("/v1/webhooks/mlflow", status_code=204)
async def mlflow_webhook(services: Site, request: Request) -> None:
    """Have the controller observe MLflow now. Signed with HMAC instead of a key; the body is not believed."""
    await services.webhooks.receive(request.headers, request.stream())


@router.get("/v1/queue")
async def queue(services: Site, caller: Reader) -> QueueOut:
    """Jobs of the site by state (ended ones of 24 hours), and what waits or was given up beside them.

    Dead letters are those of the caller's tenant.
    """
    state = await services.overview.queue(caller.confined_to)
    return QueueOut(
        **state.jobs,
        pending_shadows=tuple(
            PendingShadowsOut(model=model, version=version, shadows=shadows)
            for (model, version), shadows in sorted(state.pending_shadows.items())
        ),
        oldest_shadow_s=state.oldest_shadow.total_seconds() if state.oldest_shadow else None,
        dead_letters=tuple(dead_letter_out(letter) for letter in state.dead_letters),
    )


def frozen_out(freeze: FreezeStatus | None) -> FrozenOut | None:
    if freeze is None:
        return None
    recorded = freeze.recorded
    return (
        FrozenOut(by=recorded.actor, reason=recorded.reason, since=recorded.at) if recorded else FrozenOut()
    )


def dead_letter_out(letter: DeadLetter) -> DeadLetterOut:
    return DeadLetterOut(
        job_id=letter.job_id,
        kind=letter.kind,
        document=letter.document,
        destination=letter.lane,
        attempts=letter.attempt,
        error=letter.error_code,
        ended_at=letter.ended_at,
    )


def variant_out(variant: VariantStatus) -> VariantOut:
    return VariantOut(
        model=variant.model,
        version=variant.version,
        role=variant.role,
        state=variant.state.value,
        digest=variant.digest,
        reason=variant.reason,
        regulatory_status=variant.regulatory_status,
        limits=variant.limits,
        replicas=variant.replicas,
        replicas_wanted=variant.replicas_wanted,
    )
