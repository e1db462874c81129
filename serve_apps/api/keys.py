"""Keys by HTTP: made, listed and revoked by an administrator, and in force without a restart.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from datetime import datetime

from fastapi import APIRouter, Response

from core.clock import now
from ledger import ApiKey
from serve_apps.api.dependencies import MUST_ADMINISTER, Actor, Administrator, KeyRef, Site
from serve_apps.api.key_schemas import KeyIn, KeyMadeOut, KeyOut, KeysOut, KeyState, RevokedOut
from serve_apps.api.problems import problems
from serve_apps.api.strict_json import StrictRoute
from serve_apps.application.keys import IN_FORCE_WITHIN_S

router = APIRouter(prefix="/v1/keys", tags=["keys"], responses=problems(409), route_class=StrictRoute)


@router.post("", status_code=201)
async def create_key(services: Site, actor: Actor, response: Response, wanted: KeyIn) -> KeyMadeOut:
    """Make a key. Its secret stands in this answer and is told nowhere else. Two keys of a name may be in use."""
    made = await services.key_service.create(
        wanted.name, wanted.scopes, actor=actor, tenant=wanted.tenant, expires_at=wanted.expires_at
    )
    response.headers["Cache-Control"] = "no-store"
    return KeyMadeOut(**key_out(made.key, now()).model_dump(), key=made.secret)


@router.get("", dependencies=[MUST_ADMINISTER])
async def list_keys(services: Site) -> KeysOut:
    """Every key without its secret, the oldest first, also those that are revoked or have expired."""
    at = now()
    return KeysOut(keys=tuple(key_out(key, at) for key in await services.key_service.all()))


@router.delete("/{key}")
async def revoke_key(services: Site, actor: Actor, caller: Administrator, key: KeyRef) -> RevokedOut:
    """Revoke a key by its id, or all keys of a name. A key does not revoke itself."""
    ended = await services.key_service.revoke(key, actor=actor, caller=caller)
    return RevokedOut(
        revoked=tuple(key_out(each, now()) for each in ended), in_force_within_s=IN_FORCE_WITHIN_S
    )


def key_out(key: ApiKey, at: datetime) -> KeyOut:
    return KeyOut(
        id=key.id,
        name=key.name,
        tenant=key.tenant,
        scopes=key.scopes,
        state=state_of(key, at),
        created_at=key.created_at,
        created_by=key.created_by,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_on=key.last_used_on,
    )


def state_of(key: ApiKey, at: datetime) -> KeyState:
    if key.revoked_at is not None:
        return KeyState.REVOKED
    return KeyState.VALID if key.is_valid(at) else KeyState.EXPIRED
