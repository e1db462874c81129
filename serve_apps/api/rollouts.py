"""Rollouts by HTTP: declared, followed, and told what people decide.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from fastapi import APIRouter, Response

from canary.rollout.in_words import step_in_words
from canary.rollout.verbs import Verb, VerbKind
from core.errors import InvalidField
from ledger import StoredRollout
from serve_apps.api.dependencies import MUST_READ, Actor, ModelName, Site
from serve_apps.api.problems import problems
from serve_apps.api.rollout_schemas import (
    ApprovalOut,
    ConditionOut,
    EventOut,
    EvidenceOut,
    RolloutDetailOut,
    RolloutIn,
    RolloutOut,
    RolloutsOut,
    VerbIn,
)
from serve_apps.api.strict_json import StrictRoute
from serve_apps.application.rollouts import RolloutView
from serve_apps.rollout_spec.spec_file import read_rollouts

SPEC_NAME = "spec"  # what the lines of its mistakes begin with
router = APIRouter(prefix="/v1/rollouts", tags=["rollouts"], responses=problems(504), route_class=StrictRoute)


@router.get("", dependencies=[MUST_READ])
async def list_rollouts(services: Site) -> RolloutsOut:
    """The last run of each version that ever had one, by model and run."""
    return RolloutsOut(rollouts=tuple(rollout_out(one) for one in await services.rollouts.all()))


@router.get("/{model}", dependencies=[MUST_READ])
async def get_rollout(services: Site, model: ModelName) -> RolloutDetailOut:
    """The model's rollout that is under way, else its last one."""
    return detail_out(await services.rollouts.of(model))


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


@router.post("/{model}/{verb}", responses=problems(409))
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


def rollout_out(stored: StoredRollout) -> RolloutOut:
    status = stored.status
    return RolloutOut(
        model=status.model,
        name=stored.plan.name,
        run=status.run,
        candidate=status.candidate,
        stable=status.stable,
        phase=status.phase,
        reason=status.reason,
        step=status.step,
        steps=len(stored.plan.steps),
        weight_bp=status.weight_bp,
        mirror_bp=status.mirror_bp,
        began_at=status.began_at,
        progressed_at=status.progressed_at,
        pause=status.pause,
        promoted_at=status.promoted_at,
    )


def detail_out(view: RolloutView) -> RolloutDetailOut:
    stored = view.stored
    return RolloutDetailOut(
        **rollout_out(stored).model_dump(),
        next_gate=next_gate(stored),
        conditions=tuple(
            ConditionOut(kind=one.kind, holds=one.holds, reason=one.reason)
            for one in stored.status.conditions
        ),
        approvals=tuple(
            ApprovalOut(step=one.step, role=one.role, actor=one.actor, at=one.at) for one in view.approvals
        ),
        evidence=tuple(
            EvidenceOut(metric=one.metric, phase=one.phase, reason=one.reason, observed=one.observed)
            for one in view.evidence
        ),
        events=tuple(
            EventOut(
                number=one.number,
                at=one.at,
                actor=one.actor,
                phase=one.after.phase,
                step=one.after.step,
                weight_bp=one.after.weight_bp,
                reason=one.reason,
            )
            for one in view.events
        ),
    )


def next_gate(stored: StoredRollout) -> str | None:
    """The step under way in words; None once all are done, or the rollout has ended."""
    status, steps = stored.status, stored.plan.steps
    if status.has_ended or status.step >= len(steps):
        return None
    return f"step {status.step} of {len(steps)}: {step_in_words(steps[status.step])}"
