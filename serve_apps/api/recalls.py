"""Recalls by HTTP: the studies that a withdrawn version answered, and what people say of them.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from canary.recall import Difference, RecallSummary
from ledger import RecallItem
from serve_apps.api.dependencies import Actor, Administrator, ModelName, Reader, Site
from serve_apps.api.problems import problems
from serve_apps.api.recall_schemas import (
    FindingChangeOut,
    RecallCloseIn,
    RecallHeadOut,
    RecallIn,
    RecallItemOut,
    RecallOut,
    RecallsOut,
    RecallSummaryOut,
    SentDocumentOut,
)
from serve_apps.api.rollout_schemas import MAX_RUN
from serve_apps.api.schemas import NAME_PATTERN
from serve_apps.api.strict_json import StrictRoute
from serve_apps.application.recalls import AskedRecall, RecallQuery, RecallView

HEX = r"^[0-9a-f]{32}$"
MAX_OFFSET = 1_000_000
ItemId = Annotated[str, Path(pattern=HEX)]
Run = Annotated[int | None, Query(ge=1, le=MAX_RUN, description="of the rollout; left out: the newest list")]
ListId = Annotated[str | None, Query(alias="id", pattern=HEX, description="of a list")]
Tenant = Annotated[
    str | None, Query(pattern=NAME_PATTERN, description="whose; another's needs the scope `admin`")
]
router = APIRouter(prefix="/v1/rollouts", tags=["rollouts"], responses=problems(), route_class=StrictRoute)


@router.get("/{model}/recalls")
async def list_recalls(services: Site, caller: Reader, model: ModelName) -> RecallsOut:
    """The lists of a model, the newest first, with the numbers of the tenant's own studies."""
    return RecallsOut(recalls=tuple(head_out(view) for view in await services.recalls.all(model, caller)))


@router.get("/{model}/recall")
async def get_recall(
    services: Site,
    caller: Reader,
    model: ModelName,
    run: Run = None,
    recall: ListId = None,
    tenant: Tenant = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
) -> RecallOut:
    """The tenant's studies that a withdrawn version answered, those that a person has to look at first at the head.

    An administrator sees everybody's. `summary` counts all of them, whatever `limit` shows.
    """
    query = RecallQuery(model, run, recall, tenant, limit, offset)
    return recall_out(await services.recalls.of(query, caller))


@router.post(
    "/{model}/recall",
    responses={**problems(409), 201: {"model": RecallHeadOut, "description": "the list is new"}},
)
async def ask_recall(
    services: Site, actor: Actor, model: ModelName, asked: RecallIn, response: Response
) -> RecallHeadOut:
    """Begin a list that no rollback has begun; the controller fills it. 409 for the champion in force."""
    wanted = AskedRecall(asked.run, asked.version, asked.since, asked.note)
    view, is_new = await services.recalls.ask(model, wanted, actor=actor)
    if is_new:
        response.status_code = 201
    return head_out(view)


@router.post("/{model}/recall/items/{item_id}", responses=problems(409))
async def close_recall_item(
    services: Site,
    caller: Administrator,
    actor: Actor,
    model: ModelName,
    item_id: ItemId,
    said: RecallCloseIn,
) -> RecallItemOut:
    """Say that a person has looked at the study, and what came of it; audited, without the note.

    The same again changes nothing; 409 where somebody said something else before.
    """
    return item_out(await services.recalls.close(model, item_id, said.note, caller, actor=actor))


def recall_out(view: RecallView) -> RecallOut:
    items = tuple(item_out(item) for item in view.items)
    return RecallOut(**head_out(view).model_dump(), items=items)


def head_out(view: RecallView) -> RecallHeadOut:
    recall = view.recall
    return RecallHeadOut(
        id=recall.id,
        model=recall.model,
        version=recall.version,
        run=recall.run,
        since=recall.since,
        made_at=recall.made_at,
        made_by=recall.made_by,
        reason=recall.reason,
        complete=recall.is_complete,
        summary=summary_out(view.summary),
    )


def summary_out(known: RecallSummary) -> RecallSummaryOut:
    return RecallSummaryOut(
        studies=known.studies,
        open=known.open,
        to_look_now=known.to_look_now,
        pending=known.pending,
        unreadable=known.unreadable,
        closed=known.closed,
        by_difference={one: known.by_difference.get(one, 0) for one in Difference},
    )


def item_out(item: RecallItem) -> RecallItemOut:
    rank = item.rank
    return RecallItemOut(
        id=rank.item,
        open=rank.is_open,
        state=rank.state,
        difference=rank.difference,
        delivered_missed=rank.delivered_missed,
        study_uid=item.study_uid,
        job=item.job_id,
        tenant=item.tenant,
        answered_at=rank.answered_at,
        variant=item.variant,
        champion=item.champion,
        reread_at=item.reread_at,
        error_code=item.error_code,
        score_change=rank.score_change,
        findings=tuple(
            FindingChangeOut(
                code=one.code,
                meaning=one.meaning,
                delivered=one.delivered,
                champion=one.champion,
                critical=one.is_critical,
            )
            for one in item.changes
        ),
        sr_sop_instance_uid=item.sr_uid,
        documents=tuple(
            SentDocumentOut(kind=one.kind, destination=one.destination, state=one.state, at=one.at)
            for one in item.documents
        ),
        closed_at=item.closed_at,
        closed_by=item.closed_by,
        note=item.note,
    )
