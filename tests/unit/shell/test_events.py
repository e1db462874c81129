"""Critical disagreements by cursor and as server-sent events: a client that comes back misses nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx

from core.errors import LedgerUnavailable
from ledger import Audience, EscalationEvent
from serve_apps.api.events import event_stream
from serve_apps.api.listeners import Listeners
from serve_apps.application.callers import Caller
from tests.unit.shell.site import BODY, Site

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def an_event(sequence: int) -> EscalationEvent:
    return EscalationEvent(sequence, NOW, "job-1", {"sentence": "look now"})


class Escalations:
    """Answers each read with the next page, and is away after the last."""

    def __init__(self, *pages: Sequence[EscalationEvent]) -> None:
        self._pages = list(pages)
        self.cursors: list[int] = []
        self.pauses: list[float] = []

    async def read(self, cursor: int) -> Sequence[EscalationEvent]:
        self.cursors.append(cursor)
        if not self._pages:
            raise LedgerUnavailable("the database does not answer")
        return self._pages.pop(0)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


async def test_the_stream_goes_on_from_the_last_event_and_ends_when_the_ledger_is_away() -> None:
    source = Escalations([an_event(4), an_event(7)], [], [an_event(8)])
    events = [event async for event in event_stream(source.read, 3, Listeners(), source.pause)]
    assert [event.id for event in events] == ["4", "7", "8"]
    assert json.loads(events[0].data) == {
        "sequence": 4,
        "job": "job-1",
        "escalation": {"sentence": "look now"},
    }
    assert source.cursors == [3, 7, 7, 8]
    assert len(source.pauses) == 1, "it pauses only when there was nothing"


async def test_a_stream_ends_after_a_while_so_that_nobody_waits_for_it() -> None:
    source = Escalations(*([] for _ in range(1000)))
    listeners = Listeners()

    def clock() -> float:
        return float(len(source.pauses))

    assert [e async for e in event_stream(source.read, 0, listeners, source.pause, clock)] == []
    assert (len(source.pauses), listeners.count) == (60, 0)


async def test_listeners_keep_no_study_from_being_accepted(site: Site, http: httpx.AsyncClient) -> None:
    site.services.listeners.count = 50
    answer = await http.get("/v1/events", headers={"Accept": "text/event-stream"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    assert (await http.get("/v1/events")).status_code == 200


async def test_a_client_that_lost_its_connection_gets_what_came_since(
    site: Site, http: httpx.AsyncClient
) -> None:
    job = (await http.post("/v1/jobs", json=BODY)).json()["id"]
    for sentence in ("first", "second", "third"):
        site.ledger.escalations.record(job, {"code": sentence, "sentence": sentence}, Audience.CALLER)
    first = (await http.get("/v1/events")).json()["events"][0]["sequence"]
    site.services.routing.events = Once(site).read  # type: ignore[method-assign]
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(first)}
    answer = await http.get("/v1/events", headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [line for line in answer.text.splitlines() if line.startswith("id:")] == ["id: 2", "id: 3"]
    assert "second" in answer.text
    assert "first" not in answer.text


class Once:
    """The site's escalations for one look, so that the stream ends."""

    def __init__(self, site: Site) -> None:
        self._ledger = site.ledger
        self._reads = 0

    async def read(self, cursor: int, caller: Caller) -> tuple[EscalationEvent, ...]:
        self._reads += 1
        if self._reads > 1:
            raise LedgerUnavailable("the database does not answer")
        return self._ledger.escalations.since(cursor)


async def test_a_key_without_the_scope_gets_no_stream(site: Site) -> None:
    async with site.client("wrong") as http:
        answer = await http.get("/v1/events", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 401
