"""Gates are asked beside the looks: signed, seldom, on allowed hosts only; whatever is no clear answer holds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from canary.rollout.gate import GateKind, Gates
from canary.rollout.gate_rules import questions_of
from canary.rollout.status import RolloutPhase
from core.errors import GateFailed
from ledger import Ledger
from serve_apps.adapters.rollout_gates import MAX_ANSWER_BYTES, SignedGates
from serve_apps.control.gates import ASK_S, LONGEST_REASON, NO_REASON, WANTED_S, AskedGates, read_answer
from tests.unit.canary.rollout.builders import GOOD, NOON, begun, plan
from tests.unit.shell.control_fakes import Clock
from tests.unit.shell.inline import settle
from tests.unit.shell.rollout_site import MODEL, RolloutSite

BEGIN, PROMOTE, BACK = GateKind.CONFIRM_ROLLOUT, GateKind.CONFIRM_PROMOTION, GateKind.ROLLBACK
URL = "https://qa.example/gate"
YES = {"approved": True, "reason": "on call: Dr. Who"}


class FakeCalls:
    """An outside system with one answer; `hangs` until it is let go."""

    def __init__(self, answer: object = YES) -> None:
        self.answer: object | Exception = answer
        self.asked: list[tuple[str, str, dict[str, object]]] = []
        self.hangs: asyncio.Event | None = None

    async def ask(self, url: str, message: str, body: bytes) -> bytes:
        self.asked.append((url, message, json.loads(body)))
        if self.hangs is not None:
            await self.hangs.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return json.dumps(self.answer).encode()


class Asked:
    """A plan with gates, and who asks them."""

    def __init__(self, gates: Gates, *, hosts: tuple[str, ...] = ("qa.example",)) -> None:
        self.plan, self.calls, self.clock, self.now = plan(gates=gates), FakeCalls(), Clock(), NOON
        self.gates = AskedGates(self.calls, hosts, lambda: self.now, self.clock)

    async def look(self, seconds: float = 1.0, **changes: object) -> None:
        """Time passes, a look wants the gates of its rollout, and what is due is asked."""
        self.clock.now += seconds
        self.now += timedelta(seconds=seconds)
        self.gates.want(questions_of(self.plan, begun(self.plan, **changes)))
        self.gates.once()
        await settle()

    @property
    def said(self) -> dict[GateKind, tuple[bool | None, str]]:
        return {one.kind: (one.says, one.reason) for one in self.gates.answers(MODEL, 1)}


async def test_a_gate_is_told_where_the_rollout_stands_and_its_answer_is_kept_with_its_time() -> None:
    asked = Asked(Gates(confirm_rollout=URL))
    await asked.look()
    ((url, message, body),) = asked.calls.asked
    assert (url, message) == (URL, f"chest-ct/1/confirmRollout/{int(asked.now.timestamp())}")
    assert body == {
        "type": "gate.confirmRollout",
        "model": "chest-ct",
        "candidate": "2",
        "stable": "1",
        "run": 1,
        "phase": "Progressing",
        "step": 0,
        "weight_bp": 0,
    }
    (answer,) = asked.gates.answers(MODEL, 1)
    assert (answer.says, answer.reason, answer.at) == (True, "on call: Dr. Who", asked.now)
    assert asked.gates.answers(MODEL, 2) == ()


async def test_a_gate_is_asked_every_ten_seconds_at_most_and_no_more_when_it_does_not_matter() -> None:
    asked = Asked(Gates(confirm_rollout=URL))
    for _ in range(31):
        await asked.look()
    assert len(asked.calls.asked) == 4
    await asked.look(ASK_S, confirmed_at=NOON)
    assert (len(asked.calls.asked), asked.said) == (4, {})


async def test_a_controller_that_looks_no_more_asks_no_more() -> None:
    asked = Asked(Gates(rollback=URL))
    await asked.look()
    asked.clock.now += ASK_S + WANTED_S
    asked.gates.once()
    await settle()
    assert len(asked.calls.asked) == 1


async def test_a_gate_that_hangs_is_asked_once_and_holds_up_no_other() -> None:
    asked = Asked(Gates(confirm_rollout=URL, rollback=URL))
    asked.calls.hangs = asyncio.Event()
    for _ in range(3):
        await asked.look(ASK_S)
    assert (len(asked.calls.asked), asked.said) == (2, {})
    asked.calls.hangs.set()
    await settle()
    assert set(asked.said) == {BEGIN, BACK}
    assert {one.at for one in asked.gates.answers(MODEL, 1)} == {NOON + timedelta(seconds=ASK_S)}, (
        "when asked"
    )
    asked.gates.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (GateFailed("it answered 503"), "it answered 503"),
        (ZeroDivisionError(), "it could not be asked"),
        ({"approved": 1}, "does not say approved: true or false"),
        ({"rollback": True}, "does not say approved: true or false"),
        ([], "does not say approved: true or false"),
    ],
)
async def test_what_is_no_clear_answer_is_none_with_why(answer: object, why: str) -> None:
    asked = Asked(Gates(confirm_rollout=URL))
    asked.calls.answer = answer
    await asked.look()
    says, reason = asked.said[BEGIN]
    assert (says, why in reason) == (None, True), reason


async def test_a_host_that_the_site_does_not_allow_any_more_is_not_asked() -> None:
    asked = Asked(Gates(confirm_rollout=URL), hosts=())
    await asked.look()
    assert (asked.calls.asked, asked.said) == ([], {BEGIN: (None, "its host is not allowed by this site")})


@pytest.mark.parametrize(
    ("kind", "answer", "read"),
    [
        (BEGIN, {"approved": False, "reason": "no reader"}, (False, "no reader")),
        (PROMOTE, {"approved": True}, (True, NO_REASON)),
        (BACK, {"rollback": True, "reason": "a\n recall\x00 \u202ecame"}, (True, "a recall came")),
        (BACK, {"rollback": False, "reason": ["?"]}, (False, NO_REASON)),
        (PROMOTE, {"approved": True, "reason": "x" * 900}, (True, "x" * LONGEST_REASON)),
    ],
)
def test_an_answer_is_yes_or_no_and_one_line(kind: GateKind, answer: object, read: tuple[bool, str]) -> None:
    assert read_answer(kind, json.dumps(answer).encode()) == read


said = st.dictionaries(
    st.sampled_from(("approved", "rollback", "reason")), st.none() | st.booleans() | st.text()
)


@given(st.binary(max_size=200) | said.map(lambda answer: json.dumps(answer).encode()))
def test_no_answer_does_anything_but_say_yes_no_or_fail(body: bytes) -> None:
    for kind in GateKind:
        with suppress(GateFailed):
            says, reason = read_answer(kind, body)
            assert says in (True, False)
            assert reason
            assert reason.isprintable()


# ---- the line

SECRET = b"a secret of the site"


class Host:
    def __init__(self, status: int = 200, body: bytes = b"{}", error: Exception | None = None) -> None:
        self.reply, self.error = (status, body), error
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        status, body = self.reply
        return httpx.Response(status, content=body, headers={"Location": "https://elsewhere.example/"})


def line_to(host: Host) -> SignedGates:
    return SignedGates(SECRET, httpx.MockTransport(host), lambda: datetime.now(UTC))


async def test_a_question_is_signed_as_a_callback_is() -> None:
    host = Host(body=b'{"approved": true}')
    assert await line_to(host).ask(URL, "chest/1/x/1", b'{"step": 1}') == b'{"approved": true}'
    (request,) = host.requests
    assert Webhook(SECRET).verify(request.content, dict(request.headers)) == {"step": 1}


@pytest.mark.parametrize(
    "host",
    [
        Host(204),
        Host(302),
        Host(403),
        Host(503),
        Host(body=b"x" * (MAX_ANSWER_BYTES + 1)),
        Host(error=httpx.ConnectError("no")),
        Host(error=httpx.ReadTimeout("slow")),
        Host(error=httpx.InvalidURL("no")),
    ],
)
async def test_anything_but_a_short_200_is_no_answer(host: Host) -> None:
    with pytest.raises(GateFailed) as failure:
        await line_to(host).ask(URL, "m", b"{}")
    assert "qa.example" not in failure.value.detail
    assert len(host.requests) == 1, "a redirect is not followed"


async def test_an_answer_that_dribbles_is_given_up() -> None:
    class Dribble(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await asyncio.sleep(0)
                yield b""

    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Dribble()))
    with pytest.raises(GateFailed, match=r"within 0\.01 s"):
        await SignedGates(SECRET, transport, timeout_s=0.01).ask(URL, "m", b"{}")


# ---- a rollout with gates, from look to look


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RolloutSite]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield RolloutSite(ledger)
    ledger.close()


async def test_a_rollout_waits_for_its_gates_and_goes_back_when_one_asks_for_it(site: RolloutSite) -> None:
    calls, clock = FakeCalls({"approved": False, "reason": "nobody is on call", "rollback": False}), Clock()
    gates = site.gates = AskedGates(calls, ("qa.example",), lambda: site.now, clock)
    site.restart()
    site.start(plan(gates=Gates(URL, None, URL)))

    async def look() -> None:
        clock.now += ASK_S
        site.pass_time(timedelta(seconds=ASK_S))
        site.look()
        gates.once()
        await settle()

    for _ in range(3):
        await look()
    assert (site.status.step, site.status.confirmed_at) == (0, None)
    assert site.status.reason == "waits for the gate confirmRollout: nobody is on call"
    calls.answer = {"approved": True, "reason": "Ada is", "rollback": False}
    await look()
    await look()
    site.restart()
    site.look()
    assert site.status.step == 2, "what was confirmed is confirmed, also after a restart"
    calls.answer = {"rollback": True, "reason": "a recall came"}
    for _ in range(3):
        await look()
    assert site.status.phase is RolloutPhase.FAILED
    assert site.status.reason == "the gate rollback asked for it: a recall came"


async def test_a_site_whose_controller_asks_nobody_holds(site: RolloutSite) -> None:
    site.start(plan(gates=Gates(confirm_rollout=URL)))
    site.evidence.given = GOOD
    site.look(3)
    assert (site.status.step, "has not answered yet" in site.status.reason) == (0, True)
