"""Through the proxy that runs by default: slow, large and keyless requests keep nobody out and fill no memory."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter

import httpx
import psutil
import pytest

from tests.described.run import assert_nothing_is_found
from tests.e2e.conftest import NewStack
from tests.e2e.hostile import Heard, call_meanwhile, dribble, head_of
from tests.stack import LiveStack

SLOW = 450  # more than the 420 that once closed the API
FLOOD = 400 << 20
PROXY = "ProxyActor"


@pytest.fixture(scope="module")
def own_stack(new_stack: NewStack) -> LiveStack:
    return new_stack("hostile")


async def crowd(stack: LiveStack, *heads: bytes) -> list[Heard]:
    port = stack.settings.api_port
    return list(await asyncio.gather(*(dribble(port, heads[n % len(heads)]) for n in range(SLOW))))


def code_of(heard: Heard) -> str:
    return str(json.loads(heard.body)["code"])


async def test_slow_bodies_without_a_key_are_401_at_once_and_keep_nobody_out(own_stack: LiveStack) -> None:
    length = "Content-Length: 1000"
    heads = [head_of("POST", path, length) for path in ("/v1/jobs", "/dicom-web/studies", "/nowhere")]
    calls, heard = await call_meanwhile(own_stack, lambda: crowd(own_stack, *heads))
    assert Counter((h.status, code_of(h)) for h in heard) == {(401, "unauthenticated"): SLOW}
    assert max(h.seconds for h in heard) < 20
    assert calls.wrong == []


async def test_slow_bodies_with_a_key_are_408_and_keep_nobody_out(own_stack: LiveStack) -> None:
    """Fewer than there are places: who has a key may take all of those of calls, and none of those of health."""
    key = f"X-API-Key: {own_stack.key}"
    head = head_of("POST", "/v1/jobs", "Content-Length: 1000", key)

    async def some() -> list[Heard]:
        return list(await asyncio.gather(*(dribble(own_stack.settings.api_port, head) for _ in range(300))))

    calls, heard = await call_meanwhile(own_stack, some)
    assert Counter((h.status, code_of(h)) for h in heard) == {(408, "request-timeout"): 300}
    assert calls.wrong == []
    assert calls.p99_s < 10


async def test_slow_heads_end_and_keep_nobody_out(own_stack: LiveStack) -> None:
    head = head_of("GET", "/healthz", ends=False)

    async def slow() -> list[Heard]:
        port = own_stack.settings.api_port
        return list(await asyncio.gather(*(dribble(port, head, b"X-Y: z\r\n") for _ in range(SLOW))))

    calls, heard = await call_meanwhile(own_stack, slow)
    assert Counter((h.status, code_of(h)) for h in heard) == {(408, "request-timeout"): SLOW}
    assert max(h.seconds for h in heard) < 30
    assert calls.wrong == []


async def test_a_flood_without_a_key_is_not_taken_in(own_stack: LiveStack) -> None:
    before = proxy_memory(own_stack)
    head = head_of("POST", "/v1/jobs", f"Content-Length: {FLOOD}")
    port, piece = own_stack.settings.api_port, b"x" * (1 << 20)

    async def flood() -> list[Heard]:
        return list(await asyncio.gather(*(dribble(port, head, piece, pause_s=0) for _ in range(4))))

    calls, heard = await call_meanwhile(own_stack, flood)
    assert max(h.sent for h in heard) < FLOOD / 4, "it was cut off long before its end"
    assert proxy_memory(own_stack) - before < 100 << 20
    assert calls.wrong == []


async def test_health_answers_while_every_place_for_calls_is_taken(own_stack: LiveStack) -> None:
    """By callers who may: they wait for a job that does not end."""
    job = own_stack.submit("2.25.4242", "samples", callback=None)
    own_stack.finished(job)
    head = head_of("POST", "/v1/jobs", "Content-Length: 1000", f"X-API-Key: {own_stack.key}")
    held = [asyncio.create_task(dribble(own_stack.settings.api_port, head)) for _ in range(SLOW)]
    await asyncio.sleep(2)
    async with httpx.AsyncClient(base_url=own_stack.settings.api_url, timeout=10) as http:
        began = time.monotonic()
        for path in ("/healthz", "/readyz", "/-/healthz"):
            assert (await http.get(path)).status_code == 200
        assert time.monotonic() - began < 5
        refused = await http.get("/v1/jobs", headers={"X-API-Key": own_stack.key})
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    heard = await asyncio.gather(*held)
    assert Counter(h.status for h in heard) == {408: 400, 429: SLOW - 400}


def test_while_a_router_is_replaced_callers_get_a_problem_and_a_time_to_come_back(
    own_stack: LiveStack,
) -> None:
    assert own_stack.kill("ServeReplica:serinus:Ingress") == 1
    answers = []
    with own_stack.http(timeout_s=20) as http:
        while not answers or answers[-1].status_code != 200:
            answers.append(http.get("/v1/jobs"))
            time.sleep(0.02)
            assert len(answers) < 2000
    errors = [answer for answer in answers if answer.status_code != 200]
    assert {(a.status_code, a.headers["content-type"], a.headers["Retry-After"]) for a in errors} <= {
        (503, "application/problem+json", "2")
    }
    assert {a.json()["code"] for a in errors} <= {"api-unavailable"}


def test_a_fuzzer_finds_nothing_that_the_description_does_not_say(own_stack: LiveStack) -> None:
    """The last of these stories: it moves weights, freezes routing and cancels jobs."""
    assert_nothing_is_found(own_stack.settings.api_url, own_stack.key, seconds=45)


def proxy_memory(stack: LiveStack) -> int:
    """Resident bytes of the processes that own the socket."""
    return sum(psutil.Process(pid).memory_info().rss for pid in stack.processes(PROXY))
