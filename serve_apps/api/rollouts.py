"""Rollouts by HTTP: declared, followed, and told what people decide.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.convertors import StringConvertor, register_url_convertor

from canary.rollout.verbs import Verb, VerbKind
from core.errors import InvalidField
from serve_apps.api.dependencies import MUST_READ, Actor, ModelName, Site
from serve_apps.api.problems import problems
from serve_apps.api.rollout_mapping import detail_out, rollout_out
from serve_apps.api.rollout_schemas import MAX_RUN, RolloutDetailOut, RolloutIn, RolloutsOut, VerbIn
from serve_apps.api.strict_json import StrictRoute
from serve_apps.rollout_spec.spec_file import read_rollouts

Run = Annotated[int | None, Query(ge=1, le=MAX_RUN, description="as the rollout counts them")]
SPEC_NAME = "spec"  # what the lines of its mistakes begin with


class VerbConvertor(StringConvertor):
    """Matches verbs only, so that POST to a path beside them (`/evidence`, `/recalls`) is a 405, not a bad verb."""

    regex = "|".join(VerbKind)


register_url_convertor("verb", VerbConvertor())
router = APIRouter(prefix="/v1/rollouts", tags=["rollouts"], responses=problems(504), route_class=StrictRoute)


@router.get("", dependencies=[MUST_READ])
async def list_rollouts(services: Site) -> RolloutsOut:
    """The last run of each version that ever had one, by model and run."""
    return RolloutsOut(rollouts=tuple(rollout_out(one) for one in await services.rollouts.all()))


@router.get("/{model}", dependencies=[MUST_READ])
async def get_rollout(services: Site, model: ModelName, run: Run = None) -> RolloutDetailOut:
    """One run of the model; left out: the rollout on its way to a promotion, else the one that began last."""
    return detail_out(await services.rollouts.of(model, run))


@router.put(
    "/{model}",
    responses={**problems(409), 201: {"model": RolloutDetailOut, "description": "it begins"}},
)
async def start_rollout(
    services: Site, actor: Actor, model: ModelName, declared: RolloutIn, response: Response
) -> RolloutDetailOut:
    """Start a rollout of the model's challenger. One that is under way takes what of its plan may change.

    409 with the reason while it may not begin, or when steps, margins or metrics were changed.
    """
    plans = await services.rollouts.read(lambda: read_rollouts(declared.spec, SPEC_NAME))
    view, began = await services.rollouts.start(model, plans, actor=actor)
    if began:
        response.status_code = 201
    return detail_out(view)


@router.post("/{model}/{verb:verb}", responses=problems(409))
async def tell_rollout(
    services: Site, actor: Actor, model: ModelName, verb: VerbKind, said: VerbIn
) -> RolloutDetailOut:
    """Pause, resume, approve, promote, abort, retry or undo. 409 with the reason when that may not be now."""
    return detail_out(await services.rollouts.say(model, verb_of(verb, actor, said)))


def verb_of(kind: VerbKind, actor: str, said: VerbIn) -> Verb:
    try:
        return Verb(
            kind=kind, actor=actor, role=said.role or "", full=said.full, to=said.to, note=said.note.strip()
        )
    except ValueError as error:
        raise InvalidField(str(error)) from None
