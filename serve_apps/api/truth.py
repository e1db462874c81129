"""Truths and the adjudication queue by HTTP.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from canary.adjudication import Workload
from ledger import AnsweredAdjudication, OpenAdjudication
from serve_apps.api.dependencies import ModelName, Site, TruthActor, TruthTeller
from serve_apps.api.problems import problems
from serve_apps.api.schemas import NAME_PATTERN, Uid
from serve_apps.api.strict_json import StrictRoute
from serve_apps.api.truth_schemas import (
    AdjudicationOut,
    AdjudicationsOut,
    AnsweredOut,
    AnswerIn,
    ArmOut,
    TruthIn,
    TruthOut,
    TruthsOut,
    WorkloadOut,
)
from serve_apps.application.adjudication import GivenAnswer
from serve_apps.application.truth import KnownTruth, ToldTruth

HEX = r"^[0-9a-f]{32}$"
TruthId = Annotated[str, Path(pattern=HEX)]
ItemId = Annotated[str, Path(pattern=HEX)]
Tenant = Annotated[
    str | None, Query(pattern=NAME_PATTERN, description="whose; another's needs the scope `admin`")
]
router = APIRouter(prefix="/v1", tags=["truth"], responses=problems(), route_class=StrictRoute)


@router.post(
    "/studies/{study_uid}/truth",
    status_code=201,
    responses={200: {"model": TruthOut, "description": "it was told before: nothing was changed"}},
)
async def tell_truth(
    services: Site,
    caller: TruthTeller,
    actor: TruthActor,
    response: Response,
    study_uid: Uid,
    told: TruthIn,
    tenant: Tenant = None,
) -> TruthOut:
    """Tell what was really there: late, in any order, also of a study that nobody has read yet.

    What was told before stays as history; `in_force` says whether this is what counts now.
    """
    added = await services.truth.add(study_uid, told_truth(told), caller, tenant=tenant, actor=actor)
    if not added.is_new:
        response.status_code = 200
    return truth_out(await services.truth.among_others(added.truth))


@router.get("/studies/{study_uid}/truth")
async def get_truths(services: Site, caller: TruthTeller, study_uid: Uid, tenant: Tenant = None) -> TruthsOut:
    """All that the tenant has told of the study, and which of it counts."""
    known = await services.truth.of_study(study_uid, caller, tenant)
    return TruthsOut(truths=tuple(truth_out(each) for each in known))


@router.delete("/studies/{study_uid}/truth/{truth_id}")
async def withdraw_truth(
    services: Site, caller: TruthTeller, actor: TruthActor, study_uid: Uid, truth_id: TruthId
) -> TruthOut:
    """Withdraw a truth: it stays in the history and counts no more. An item that it answered is open again."""
    return truth_out(await services.truth.withdraw(study_uid, truth_id, caller, actor=actor))


@router.get("/adjudications/{model}")
async def get_adjudications(
    services: Site,
    caller: TruthTeller,
    model: ModelName,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    tenant: Tenant = None,
) -> AdjudicationsOut:
    """What is to be read again, blindly: all studies of which two versions differ, and a sample of the others."""
    queue = await services.adjudications.queue(model, limit, caller, tenant)
    items = tuple(item_out(item) for item in queue.items)
    return AdjudicationsOut(model=queue.model, items=items, workload=workload_out(queue.workload))


@router.post("/adjudications/items/{item_id}", responses=problems(409))
async def answer_adjudication(
    services: Site, caller: TruthTeller, actor: TruthActor, item_id: ItemId, answer: AnswerIn
) -> AnsweredOut:
    """Answer an item. The answer becomes a truth of the source `adjudication`.

    Only then, and only an administrator, is told who had said what. The same answer of the same reader again changes
    nothing; another one is refused with 409.
    """
    given = GivenAnswer(answer.label, answer.reader, answer.read_at, answer.note)
    answered = await services.adjudications.answer(item_id, given, caller, actor=actor)
    known = await services.truth.among_others(answered.truth)
    return answered_out(answered, known, tells_arms=caller.is_admin)


def told_truth(told: TruthIn) -> ToldTruth:
    return ToldTruth(
        model=told.model,
        source=told.source,
        reader=told.reader,
        read_at=told.read_at,
        finding=told.finding,
        label=told.label,
        value=told.value,
        unit=told.unit,
        note=told.note,
    )


def truth_out(known: KnownTruth) -> TruthOut:
    truth, told = known.truth, known.truth.told
    return TruthOut(
        id=truth.id,
        tenant=truth.tenant,
        model=truth.model,
        finding=truth.finding,
        label=told.label,
        value=told.value,
        unit=truth.unit,
        source=told.source,
        reader=truth.reader,
        read_at=told.read_at,
        received_at=told.received_at,
        withdrawn_at=told.withdrawn_at,
        in_force=known.is_in_force,
        adjudication=truth.pair_id,
        note=truth.note,
    )


def item_out(item: OpenAdjudication) -> AdjudicationOut:
    return AdjudicationOut(
        id=item.id,
        study_uid=item.study_uid,
        model=item.model,
        finding=item.finding,
        meaning=item.meaning,
        open_since=item.open_since,
    )


def workload_out(work: Workload) -> WorkloadOut:
    return WorkloadOut(
        open=work.open_items,
        pairs_per_day=round(work.pairs_per_day, 2),
        discordant_share=None if work.discordant_share is None else round(work.discordant_share, 4),
        items_per_day=round(work.items_per_day, 2),
    )


def answered_out(answered: AnsweredAdjudication, known: KnownTruth, *, tells_arms: bool) -> AnsweredOut:
    arms = {arm: ArmOut(version=version, label=label) for arm, (version, label) in answered.arms.items()}
    return AnsweredOut(id=answered.id, truth=truth_out(known), arms=arms if tells_arms else None)
