"""Replays by HTTP: asked for by an administrator, read in silence behind all else, and told as they stand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from canary.disclosure import Role
from canary.rollout.nominate import begin
from core.clock import now
from imaging.finding import Code, Measurement
from ledger.paired_feed import Span, Versions
from serve_apps.application.callers import Scope
from serve_apps.application.replay import ReplayOrder
from serve_apps.application.result import to_result
from serve_apps.application.routing_snapshot import VariantState, VariantStatus
from serve_apps.application.shadow import ShadowOutcome, rule_of
from tests.unit.canary.rollout.builders import plan
from tests.unit.shell.builders import a_prediction, a_spec, a_version
from tests.unit.shell.replayed import CANDIDATE, CHAMPION, answer, serve_candidate
from tests.unit.shell.shadows import Port, absent
from tests.unit.shell.site import Site
from tests.unit.shell.test_shadow_fence import saw_a_zebra, shadow_runner

PATH = "/v1/replays"
ASKED = {"model": "ich-triage", "candidate": "2"}


@pytest.fixture
def site(site: Site) -> Site:
    serve_candidate(site)
    return site


async def read_all(site: Site, port: Port | None = None) -> Port:
    port = port or Port()
    runner = shadow_runner(site, Role.SHADOW, port, afterwards=(Role.REPLAY,))
    while await runner.run_once():
        pass
    return port


async def test_a_replay_has_the_candidate_read_what_the_champion_answered(
    site: Site, http: httpx.AsyncClient
) -> None:
    for number in range(3):
        answer(site, f"pt-{number}")
    started = await http.post(PATH, json=ASKED, headers={"X-Serinus-Actor": "ada"})
    assert started.status_code == 201
    begun = started.json()
    assert {name: begun[name] for name in ("state", "studies", "known", "asked", "waiting", "actor")} == {
        "state": "reading",
        "studies": 3,
        "known": 0,
        "asked": 3,
        "waiting": 3,
        "actor": "ris/ada",
    }
    port = await read_all(site, Port({"2": absent("2")}))
    assert len(port.asked) == 3
    told = (await http.get(f"{PATH}/{begun['id']}")).json()
    assert (told["state"], told["done"], told["waiting"], told["failed"]) == ("done", 3, 0, {})
    site.ledger.pairs.collect("ich-triage", 0.05)
    versions = Versions("ich-triage", "1", "2")
    pairs = site.ledger.paired_feed.studies(versions, Span(None, now() + timedelta(hours=1)))
    assert len(pairs) == 3


async def test_the_same_series_is_read_by_the_rule_of_the_champion(
    site: Site, http: httpx.AsyncClient
) -> None:
    job = answer(site, "pt-1")
    await http.post(PATH, json=ASKED)
    (task,) = site.ledger.shadows.claim("w", 60, 1)
    assert (task.job_id, task.role, task.app, task.variant) == (
        job,
        "replay",
        CANDIDATE.app_name,
        "challenger",
    )
    assert (task.study.series_uids, task.study.inputs) == (("1.2.3",), ("1.2.840.9",))
    assert rule_of(task) == CHAMPION.spec.input.series
    assert task.delivered == ShadowOutcome.from_prediction(a_prediction("1"), CHAMPION.spec).as_json()
    assert (task.decision.version, task.decision.digest, task.decision.role) == (
        "2",
        CANDIDATE.digest,
        "replay",
    )


def test_what_was_reported_says_the_same_as_the_prediction() -> None:
    spec = a_spec()
    volume = Measurement(Code("118565006", "SCT", "Volume"), 12.34567, Code("ml", "UCUM", "ml"))
    for prediction in (a_prediction("1", measurements=(volume,)), absent("1"), saw_a_zebra("1")):
        reported = json.loads(json.dumps(to_result(prediction, "1.2", sr_uid=None, routing={}).to_json()))
        assert ShadowOutcome.from_result(reported, spec) == ShadowOutcome.from_prediction(prediction, spec)


async def test_the_same_request_again_makes_no_second_reading(site: Site, http: httpx.AsyncClient) -> None:
    answer(site, "pt-1")
    first, second = await http.post(PATH, json=ASKED), await http.post(PATH, json=ASKED)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    await read_all(site)
    third = (await http.post(PATH, json=ASKED)).json()
    assert (third["id"] != first.json()["id"], third["state"]) == (True, "done")
    assert (third["studies"], third["known"], third["asked"]) == (1, 1, 0)
    assert len(site.ledger.shadows.outcomes("ich-triage")) == 1


async def test_the_last_so_many_and_those_since_a_moment(site: Site, http: httpx.AsyncClient) -> None:
    for number in range(4):
        answer(site, f"pt-{number}")
    few = (await http.post(PATH, json=ASKED | {"last": 3})).json()
    assert (few["studies"], few["asked"]) == (3, 3)
    at = now().isoformat()
    answer(site, "pt-9")
    late = (await http.post(PATH, json=ASKED | {"since": at})).json()
    assert (late["studies"], late["asked"]) == (1, 1)


async def test_a_finding_that_the_champion_missed_long_ago_alarms_nobody(
    site: Site, http: httpx.AsyncClient
) -> None:
    """Whether the version may answer or not; the pair has it, and so the adjudication queue."""
    candidate = replace(CANDIDATE, may_answer=True)
    serve_candidate(site, candidate)
    job = answer(site, "pt-1", absent("1"))
    await http.post(PATH, json=ASKED)
    await read_all(site, Port({"2": saw_a_zebra("2")}))
    assert site.ledger.escalations.of_job(job, None) == ()
    assert (await http.get("/v1/events")).json()["events"] == []
    said = [(await http.get(route)).text for route in (f"/v1/jobs/{job}", f"/v1/jobs/{job}/results")]
    assert "zebra" not in "".join(said).lower()
    (outcome,) = site.ledger.shadows.outcomes("ich-triage")
    assert "Zebra" in json.dumps(outcome.outcome)
    site.ledger.pairs.collect("ich-triage", 0.05)
    assert site.ledger.adjudications.open_number("ich-triage", ("1", "2"), tenant="ris") > 0


async def test_it_is_explained_as_a_replay(site: Site, http: httpx.AsyncClient) -> None:
    job = answer(site, "pt-1")
    replay = (await http.post(PATH, json=ASKED)).json()["id"]
    await read_all(site)
    decisions = (await http.get(f"/v1/jobs/{job}/explain")).json()["decisions"]
    assert [decision["agrees"] for decision in decisions] == [True, True]
    told = " ".join(decisions[1]["sentences"])
    assert "read the study again in a replay" in told
    assert f"replay {replay} asked for it" in told


async def test_it_tells_which_rollout_s_evidence_it_is(site: Site, http: httpx.AsyncClient) -> None:
    answer(site, "pt-1")
    assert (await http.post(PATH, json=ASKED)).json()["run"] is None
    declared = replace(plan(), model="ich-triage")
    site.ledger.rollouts.begin(declared, begin(declared, "2", "1", run=1, now=now()), actor="ada")
    assert (await http.post(PATH, json=ASKED | {"last": 7})).json()["run"] == 1


async def test_a_cancel_gives_up_what_is_not_read(site: Site, http: httpx.AsyncClient) -> None:
    answer(site, "pt-1")
    replay = (await http.post(PATH, json=ASKED)).json()["id"]
    canceled = (await http.delete(f"{PATH}/{replay}")).json()
    assert (canceled["state"], canceled["taken_back"], canceled["waiting"]) == ("canceled", 1, 0)
    assert (await read_all(site)).asked == []
    listed = (await http.get(PATH, params={"model": "ich-triage"})).json()["replays"]
    assert [one["id"] for one in listed] == [replay]
    assert (await http.get(PATH, params={"model": "other"})).json() == {"replays": []}


@pytest.mark.parametrize("candidate", ["1", "7", "3"])
async def test_a_version_that_cannot_read_is_refused_with_why(
    site: Site, http: httpx.AsyncClient, candidate: str
) -> None:
    refused = VariantStatus("ich-triage", "3", "challenger", VariantState.REFUSED, reason="not signed")
    site.snapshot = replace(site.snapshot, variants=(*site.snapshot.variants, refused))
    answer = await http.post(PATH, json=ASKED | {"candidate": candidate})
    assert (answer.status_code, answer.json()["code"]) == (409, "replay-refused")
    words = {"1": "is the champion", "7": "no application here, and is no challenger", "3": "not signed"}
    assert words[candidate] in answer.json()["detail"]
    assert site.ledger.replays.newest(9) == ()


async def test_a_challenger_that_loads_may_be_asked_for(site: Site, http: httpx.AsyncClient) -> None:
    loading = VariantStatus("ich-triage", "4", "challenger", VariantState.LOADING)
    site.snapshot = replace(site.snapshot, variants=(*site.snapshot.variants, loading))
    answer_ = answer(site, "pt-1")
    replay = (await http.post(PATH, json=ASKED | {"candidate": "4"})).json()
    assert (replay["asked"], replay["waiting"]) == (1, 1)
    assert "version 4 is not served now" in replay["reason"]
    (task,) = site.ledger.shadows.claim("w", 60, 1)
    assert (task.job_id, task.app) == (answer_, a_version("4").app_name)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"candidate": "2"}, 422),
        ({"model": "no-such-model", "candidate": "2"}, 422),
        (ASKED | {"last": 0}, 422),
        (ASKED | {"last": 5001}, 422),
        (ASKED | {"since": "2026-05-01"}, 422),
        (ASKED | {"since": "2999-01-01T00:00:00Z"}, 422),
        (ASKED | {"run": 1}, 422),
    ],
)
async def test_what_is_no_replay_is_refused(
    http: httpx.AsyncClient, body: dict[str, object], status: int
) -> None:
    assert (await http.post(PATH, json=body)).status_code == status


async def test_only_an_administrator_starts_or_cancels_and_readers_may_look(site: Site) -> None:
    answer(site, "pt-1")
    async with site.client() as admin:
        replay = (await admin.post(PATH, json=ASKED)).json()["id"]
    plain = site.new_key("plain", *(set(Scope) - {Scope.ADMIN}))
    async with site.client(plain) as http:
        assert (await http.post(PATH, json=ASKED)).status_code == 403
        assert (await http.delete(f"{PATH}/{replay}")).status_code == 403
        assert (await http.get(f"{PATH}/{replay}")).status_code == 200
        assert len((await http.get(PATH)).json()["replays"]) == 1
    async with site.client(site.new_key("teller", Scope.TRUTH_WRITE)) as http:
        assert (await http.get(PATH)).status_code == 403
        assert (await http.get(f"{PATH}/{replay}")).status_code == 403


@pytest.mark.parametrize("replay", ["0" * 32, "no-id"])
async def test_an_unknown_replay_is_not_found(http: httpx.AsyncClient, replay: str) -> None:
    status = 404 if replay == "0" * 32 else 422
    assert (await http.get(f"{PATH}/{replay}")).status_code == status
    assert (await http.delete(f"{PATH}/{replay}")).status_code == status


async def test_a_replay_whose_beginning_broke_off_is_gone_on_with_and_of_the_same_window(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that asked ended after the first batch; a study that came since is not in the window."""
    for number in range(3):
        answer(site, f"pt-{number}")
    service, add = site.services.replays, site.ledger.replays.add
    calls = iter([True])

    def once(*args: object) -> bool:
        if next(calls, False):
            return add(*args)  # type: ignore[arg-type]
        raise ConnectionError("the process ends")

    with monkeypatch.context() as patched:
        patched.setattr("serve_apps.application.replay.BATCH_SIZE", 2)
        patched.setattr(site.ledger.replays, "add", once)
        with pytest.raises(ConnectionError):
            await service.start(ReplayOrder("ich-triage", "2", 500), actor="ada")
    (broken,) = await service.newest(None)
    assert (broken.state.value, broken.counts.waiting) == ("asking", 2)
    answer(site, "pt-late")
    stored, is_new = await service.start(ReplayOrder("ich-triage", "2", 500), actor="ada")
    assert (stored.id, is_new, stored.studies, stored.known, stored.asked) == (broken.id, False, 3, 0, 3)
