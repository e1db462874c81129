"""Critical disagreements as they are found: by cursor, or as server-sent events.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import JSONResponse
from sse_starlette import EventSourceResponse, ServerSentEvent

from core.errors import LedgerUnavailable
from ledger import EscalationEvent
from serve_apps.api.dependencies import Reader, Site
from serve_apps.api.listeners import Listeners
from serve_apps.api.problems import problems
from serve_apps.api.strict_json import StrictRoute

POLL_S = 1.0
STREAM_S = 60.0
RETRY_MS = 2000
LAST = 2**53 - 1  # a JSON number that every parser reads as the same integer (RFC 8259 6)
EVENT_STREAM = "text/event-stream"
STREAMED = {
    EVENT_STREAM: {
        "schema": {"type": "string"},
        "example": 'id: 7\nevent: escalation\ndata: {"sequence": 7, "job": "0f8a", "escalation": {}}\n\n',
    }
}
router = APIRouter(prefix="/v1", tags=["routing"], responses=problems(), route_class=StrictRoute)

Read = Callable[[int], Awaitable[Sequence[EscalationEvent]]]
Pause = Callable[[float], Awaitable[None]]


@router.get("/events", responses={200: {"content": STREAMED}})
async def events(
    services: Site,
    caller: Reader,
    cursor: Annotated[int, Query(ge=0, le=LAST)] = 0,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
    last_event_id: Annotated[int | None, Header(ge=0, le=LAST)] = None,
) -> Response:
    """Critical disagreements about the tenant's jobs, oldest first; ask again with the cursor that came back.

    By `Accept: text/event-stream` they come as server-sent events, whose ids are cursors: a client that lost its
    connection sends `Last-Event-ID` and misses nothing.
    """
    start = cursor if last_event_id is None else last_event_id

    async def read(after: int) -> Sequence[EscalationEvent]:
        return await services.routing.events(after, caller)

    if EVENT_STREAM in accept:
        services.listeners.require_room()
        return EventSourceResponse(event_stream(read, start, services.listeners))
    page = await read(start)
    return JSONResponse(
        {
            "events": [event_document(event) for event in page],
            "cursor": page[-1].sequence if page else start,
        }
    )


async def event_stream(
    read: Read,
    cursor: int,
    listeners: Listeners,
    pause: Pause = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[ServerSentEvent]:
    """Every escalation after `cursor`, for a minute, or until the ledger is away.

    It ends so that a replica that is replaced need not wait for its listeners: a client of server-sent events comes
    back by itself, with the id of the last event that it saw.
    """
    ends_at = clock() + STREAM_S
    with listeners.one_more():
        while clock() < ends_at:
            try:
                page = await read(cursor)
            except LedgerUnavailable:
                return
            for event in page:
                cursor = event.sequence
                data = json.dumps(event_document(event))
                yield ServerSentEvent(data, event="escalation", id=str(cursor), retry=RETRY_MS)
            if not page:
                await pause(POLL_S)


def event_document(event: EscalationEvent) -> dict[str, Any]:
    return {"sequence": event.sequence, "job": event.job_id, "escalation": dict(event.detail)}
