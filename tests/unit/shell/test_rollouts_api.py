"""Rollouts by HTTP: read from the ledger, done by the controller, and refused with the reason."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from canary.evidence.metric_state import start, update_all
from canary.evidence.observations import DiagnosisPair
from canary.rollout.evidence_told import metrics_seen
from canary.rollout.seen import Approval
from canary.rollout.status import RolloutPhase
from canary.rollout.verbs import Verb, VerbKind
from canary.truth import TruthLabel, TruthSource
from canary.truth_set import SetLine, SetTruth, studies_of
from core.clock import now
from core.errors import LedgerUnavailable, NotReady, RolloutConflict, RolloutRefused
from ledger import StoredSet
from tests.unit.canary.rollout.builders import GOOD, PLAN, begun, plan, sensitivity
from tests.unit.shell.site import Site

SPEC = Path(__file__).parents[3].joinpath("examples/rollouts/chest-ct.yaml").read_text()
DECLARED = "/v1/rollouts/chest-ct-nodule"
OF_IT = "/v1/rollouts/chest-ct"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


@pytest.fixture
async def http(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.client() as client:
        yield client


async def test_a_spec_starts_a_rollout_once(site: Site, http: httpx.AsyncClient) -> None:
    first = await http.put(DECLARED, json={"spec": SPEC}, headers={"X-Serinus-Actor": "ada"})
    again = await http.put(DECLARED, json={"spec": SPEC})
    assert (first.status_code, again.status_code) == (201, 200)
    begun_ = first.json()
    assert (begun_["name"], begun_["run"], begun_["candidate"], begun_["weight_bp"]) == (
        "chest-ct-nodule",
        1,
        "2",
        0,
    )
    assert begun_["next_gate"].startswith("step 0 of ")
    assert [(event["actor"], event["number"]) for event in begun_["events"]] == [("ris/ada", 1)]
    assert (await http.get(DECLARED)).json() == again.json()


@pytest.mark.parametrize("spec", ["kind: ModelRollout", "{", SPEC.replace("setWeight: 5", "setWeight: 500")])
async def test_a_spec_with_mistakes_is_refused_with_their_lines(http: httpx.AsyncClient, spec: str) -> None:
    answer = await http.put(DECLARED, json={"spec": spec})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-field")
    assert "spec:" in answer.json()["detail"]


async def test_a_ground_truth_set_is_registered_before_a_rollout_that_names_it(
    site: Site, http: httpx.AsyncClient
) -> None:
    spec = SPEC.replace("critical: true", "truthSets: [chest-reference]", 1)
    refused = await http.put(DECLARED, json={"spec": spec})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid-field")
    assert "chest-reference" in refused.json()["detail"]
    of_another, mine = registered(site, "ich-triage"), registered(site, "chest-ct-nodule", "chest-reference")
    assert (of_another.name, mine.name) == ("ref", "chest-reference")
    assert (await http.put(DECLARED, json={"spec": spec})).status_code == 201


def registered(site: Site, model: str, name: str = "ref") -> StoredSet:
    truth = SetTruth(TruthLabel.PRESENT, TruthSource.PATHOLOGY, "lab")
    studies = studies_of([SetLine("pacs", "1.2.840.1", "n@SCT", truth)])
    return site.ledger.truth_sets.register(name, model, studies, actor="ada")[0]


async def test_a_spec_for_another_model_is_refused(site: Site, http: httpx.AsyncClient) -> None:
    answer = await http.put("/v1/rollouts/brain-mr", json={"spec": SPEC})
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/spec")
    assert site.ledger.rollouts.newest() == ()


async def test_a_rollout_is_told_with_all_that_people_need(site: Site, http: httpx.AsyncClient) -> None:
    stored = site.ledger.rollouts.begin(plan(), begun(), actor="ris/ada")
    approval = Approval(1, 2, "quality", "ris/bob", now())
    site.ledger.rollouts.move(stored, stored.status, approval=approval)
    site.evidence.given = GOOD
    told = (await http.get(OF_IT)).json()
    assert [(one["step"], one["role"], one["actor"]) for one in told["approvals"]] == [
        (2, "quality", "ris/bob")
    ]
    first = told["evidence"][0]
    assert [first[name] for name in ("metric", "phase", "reason", "observed")] == [
        "sensitivity",
        "Successful",
        "it is Successful",
        50,
    ]
    assert told["next_gate"] == "step 0 of 7: the candidate reads 100 % of the studies as a shadow"
    listed = (await http.get("/v1/rollouts")).json()["rollouts"]
    assert [(one["model"], one["steps"]) for one in listed] == [("chest-ct", 7)]


async def test_a_metric_is_told_with_its_numbers_and_what_they_take(
    site: Site, http: httpx.AsyncClient
) -> None:
    site.ledger.rollouts.begin(PLAN, begun(), actor="ris/ada")
    spec = replace(sensitivity(), strata=("site",))
    missed = DiagnosisPair(
        positive=True, candidate_positive=False, champion_positive=True, strata=("site=north",)
    )
    states = {spec.name: update_all(spec, start(spec), [missed] * 3)}
    site.evidence.given = replace(GOOD, metrics=metrics_seen((spec,), states, {}))
    (told,) = (await http.get(OF_IT)).json()["evidence"]
    assert (told["kind"], told["hypothesis"], told["margin"]) == ("sensitivity", "non-inferiority", 0.05)
    assert (told["candidate_events"], told["champion_events"], told["min_observations"]) == (3, 0, None)
    assert told["log10_e_harm"] > 0 > told["log10_e_non_inferiority"]
    assert told["log10_e_harm_limit"] == pytest.approx(math.log10(3 / 0.01))  # three metrics share the risk
    assert told["log10_e_non_inferiority_limit"] == pytest.approx(-math.log10(0.025))
    assert (told["worst_stratum"]["stratum"], told["worst_stratum"]["observed"]) == ("site=north", 3)


async def test_the_gate_the_steps_the_budget_and_the_pace_are_told(
    site: Site, http: httpx.AsyncClient
) -> None:
    at_approval = replace(begun(), step=2, began_at=now() - timedelta(days=2))
    site.ledger.rollouts.begin(PLAN, at_approval, actor="ris/ada")
    site.evidence.given = replace(GOOD, exposed_studies=7, adverse_events=1)
    told = (await http.get(OF_IT)).json()
    assert [(one["number"], one["kind"]) for one in told["plan_steps"]][:2] == [
        (0, "setMirror"),
        (1, "analysis"),
    ]
    assert (told["gate"]["kind"], told["gate"]["roles"]) == ("approval", ["radiologist", "quality"])
    assert told["exposure"] == {"studies": 7, "studies_limit": 200, "adverse": 1, "adverse_limit": 5}
    assert told["studies_per_day"] == 0.0
    assert told["expected"]["step"] == {"at": None, "reason": "it waits for people, who have no date"}
    assert "nobody knows yet how many studies" in told["expected"]["promotion"]["reason"]


async def test_a_rollout_that_has_ended_waits_for_nothing(site: Site, http: httpx.AsyncClient) -> None:
    ended = replace(begun(), phase=RolloutPhase.FAILED, reason="it failed")
    site.ledger.rollouts.move(site.ledger.rollouts.begin(PLAN, begun(), actor="ris/ada"), ended)
    told = (await http.get(OF_IT)).json()
    assert (told["gate"], told["studies_per_day"]) == (None, None)
    assert told["expected"]["promotion"] == {"at": None, "reason": "it has ended"}


async def test_evidence_that_cannot_be_computed_is_left_out(site: Site, http: httpx.AsyncClient) -> None:
    site.ledger.rollouts.begin(plan(), begun(), actor="ris/ada")
    site.evidence.error = LedgerUnavailable("away")
    answer = await http.get(OF_IT)
    assert (answer.status_code, answer.json()["evidence"], answer.json()["exposure"]) == (200, [], None)


@pytest.mark.parametrize("kind", VerbKind)
async def test_a_verb_reaches_the_controller_with_its_actor(
    site: Site, http: httpx.AsyncClient, kind: VerbKind
) -> None:
    site.ledger.rollouts.begin(plan(), begun(), actor="ris/ada")
    words: dict[VerbKind, dict[str, Any]] = {
        VerbKind.APPROVE: {"role": "quality"},
        VerbKind.PROMOTE: {"full": True},
        VerbKind.UNDO: {"to": "1"},
    }
    body = words.get(kind, {})
    answer = await http.post(
        f"{OF_IT}/{kind}", json={**body, "note": "QM-17"}, headers={"X-Serinus-Actor": "ada"}
    )
    assert answer.status_code == 200
    assert site.controller.said == [("chest-ct", Verb(kind=kind, actor="ris/ada", note="QM-17", **body))]


@pytest.mark.parametrize(
    ("verb", "body"), [("approve", {}), ("approve", {"role": " "}), ("pause", {"full": True})]
)
async def test_words_that_do_not_go_with_the_verb_are_refused(
    site: Site, http: httpx.AsyncClient, verb: str, body: dict[str, Any]
) -> None:
    assert (await http.post(f"{OF_IT}/{verb}", json=body)).status_code == 422
    assert site.controller.said == []


@pytest.mark.parametrize(("path", "status"), [("evidence", 405), ("recalls", 405), ("dance", 404)])
async def test_what_is_no_verb_is_told_so(
    site: Site, http: httpx.AsyncClient, path: str, status: int
) -> None:
    assert (await http.post(f"{OF_IT}/{path}", json={})).status_code == status
    assert site.controller.said == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RolloutRefused("step 3 waits for no approval"), 409),
        (RolloutConflict("it has moved"), 409),
        (NotReady("the controller has not looked yet"), 503),
    ],
)
async def test_what_the_controller_refuses_is_told_with_its_reason(
    site: Site, http: httpx.AsyncClient, error: Any, status: int
) -> None:
    site.controller.error = error
    told = await http.post(f"{OF_IT}/resume", json={})
    started = await http.put(DECLARED, json={"spec": SPEC})
    for answer in (told, started):
        assert (answer.status_code, answer.json()["detail"]) == (status, error.detail)


async def test_a_model_without_a_rollout_is_not_found(http: httpx.AsyncClient) -> None:
    answer = await http.get(OF_IT)
    assert (answer.status_code, answer.json()["code"]) == (404, "rollout-not-found")
    assert (await http.get("/v1/rollouts")).json() == {"rollouts": []}


async def test_only_an_administrator_changes_a_rollout(site: Site) -> None:
    async with site.client(site.reader_key) as reader:
        assert (await reader.get("/v1/rollouts")).status_code == 200
        assert (await reader.put(DECLARED, json={"spec": SPEC})).status_code == 403
        assert (await reader.post(f"{OF_IT}/abort", json={})).status_code == 403


OUTSIDE = "  notifications: [{url: https://ris.hospital/told}]\n  gates: {rollback: {url: https://ris.hospital/back}}\n"
NAMED = SPEC.replace("  model: {name:", f"{OUTSIDE}  model: {{name:")


@pytest.mark.parametrize("named", [NAMED, NAMED.replace("ris.hospital/back", "169.254.169.254/back")])
async def test_an_address_that_the_site_does_not_allow_is_refused_and_not_repeated(
    site: Site, http: httpx.AsyncClient, named: str
) -> None:
    answer = await http.put(DECLARED, json={"spec": named})
    assert (answer.status_code, answer.json()["code"], answer.json()["pointer"]) == (
        422,
        "url-refused",
        "/spec",
    )
    assert "ris.hospital" not in answer.text
    assert site.ledger.rollouts.newest() == ()


async def test_a_site_that_allows_the_host_takes_the_plan(tmp_path: Path) -> None:
    site = Site(tmp_path, callback_hosts=("ris.hospital",))
    async with site.client() as http:
        assert (await http.put(DECLARED, json={"spec": NAMED})).status_code == 201
        plain = NAMED.replace("https://ris.hospital/told", "http://ris.hospital/told")
        assert (await http.put(DECLARED, json={"spec": plain})).status_code == 422
    site.close()


async def test_what_is_told_first_is_on_its_way_to_a_promotion_and_else_the_last_that_began(
    site: Site, http: httpx.AsyncClient
) -> None:
    promoted = begun(PLAN, phase=RolloutPhase.SURVEILLING, promotion_began=True, promoted_at=now())
    site.ledger.rollouts.begin(PLAN, promoted, actor="ris/ada")
    second = begun(PLAN, run=2, candidate="3")
    stored = site.ledger.rollouts.begin(PLAN, second, actor="ris/ada")
    assert (await http.get(OF_IT)).json()["run"] == 2
    site.ledger.rollouts.move(stored, replace(second, phase=RolloutPhase.FAILED))
    assert (await http.get(OF_IT)).json()["phase"] == "Failed", "not the one that is only watched"
    assert (await http.get(f"{OF_IT}?run=1")).json()["phase"] == "Surveilling"
    assert (await http.get(f"{OF_IT}?run=9")).status_code == 404
    assert (await http.get(f"{OF_IT}?run=0")).status_code == 422
