"""Replays by HTTP: started, followed and cancelled.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from ledger import StoredReplay
from serve_apps.api.dependencies import MUST_READ, Actor, Services, Site
from serve_apps.api.problems import problems
from serve_apps.api.replay_schemas import ReplayIn, ReplayOut, ReplaysOut
from serve_apps.api.schemas import Name
from serve_apps.api.strict_json import StrictRoute
from serve_apps.application.replay import ReplayOrder

router = APIRouter(prefix="/v1/replays", tags=["replays"], responses=problems(), route_class=StrictRoute)
ReplayId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]


@router.post(
    "",
    status_code=201,
    responses={**problems(409), 200: {"model": ReplayOut, "description": "the same is under way"}},
)
async def start_replay(services: Site, actor: Actor, asked: ReplayIn, response: Response) -> ReplayOut:
    """Have a version read in silence the last studies that the champion answered, behind all other work.

    What it was given before is left out, so that the same request again has nothing read twice. 409 for a version
    that cannot read here.
    """
    order = ReplayOrder(asked.model, asked.candidate, asked.last, asked.since)
    replay, is_new = await services.replays.start(order, actor=actor)
    if not is_new:
        response.status_code = 200
    return replay_out(services, replay)


@router.get("", dependencies=[MUST_READ])
async def list_replays(services: Site, model: Annotated[Name | None, Query()] = None) -> ReplaysOut:
    """The newest fifty, of one model or of all."""
    found = await services.replays.newest(model)
    return ReplaysOut(replays=tuple(replay_out(services, one) for one in found))


@router.get("/{replay_id}", dependencies=[MUST_READ])
async def get_replay(services: Site, replay_id: ReplayId) -> ReplayOut:
    """How many studies were read, failed and wait."""
    return replay_out(services, await services.replays.get(replay_id))


@router.delete("/{replay_id}")
async def cancel_replay(services: Site, actor: Actor, replay_id: ReplayId) -> ReplayOut:
    """Give up what is not read yet. What was read stays, and so do its pairs. Of one that is over nothing changes."""
    return replay_out(services, await services.replays.cancel(replay_id, actor=actor))


def replay_out(services: Services, stored: StoredReplay) -> ReplayOut:
    about, counts = stored.about, stored.counts
    return ReplayOut(
        id=stored.id,
        state=stored.state,
        model=about.model,
        champion=about.champion,
        candidate=about.candidate,
        last=about.last,
        since=about.since,
        actor=stored.actor,
        at=stored.at,
        run=about.run,
        studies=stored.studies,
        known=stored.known,
        asked=stored.asked,
        waiting=counts.waiting,
        done=counts.done,
        failed=dict(counts.failed),
        canceled_at=stored.canceled_at,
        taken_back=stored.taken_back,
        reason=services.replays.hindrance(stored),
    )
