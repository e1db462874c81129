"""Ground-truth sets by HTTP: registered by an administrator, read by every live version, and judged."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from canary.disclosure import Role
from core.clock import now
from serve_apps.application.callers import Scope
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.application.truth_set_runs import TruthSetRunner, live_versions
from tests.unit.canary.rollout.builders import METRICS, begun, plan, sensitivity
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.replayed import CANDIDATE, serve_candidate
from tests.unit.shell.shadows import Port, absent
from tests.unit.shell.site import Site
from tests.unit.shell.test_shadow_fence import shadow_runner

PATH, RUNS, RESULTS = "/v1/truth-sets", "/v1/truth-sets/ref/runs", "/v1/truth-sets/ref/results"
SCHEDULE = "/v1/truth-sets/ref/schedule"
FINDING = "1386000@SCT"


def line(number: int, label: str = "present", **more: Any) -> dict[str, Any]:
    told = {"label": label, "source": "pathology", "reader": "lab"}
    return {"study_uid": f"1.2.840.{number}", "study_source": "samples", **told, **more}


def a_set(*lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "ref", "model": "ich-triage", "lines": list(lines or (line(1), line(2, "absent")))} | more


@pytest.fixture
def site(site: Site) -> Site:
    serve_candidate(site)
    return site


async def read_all(site: Site) -> Port:
    """Version 1 sees a bleeding in every study, version 2 in none."""
    port = Port({"2": absent("2")})
    runner = shadow_runner(site, Role.SHADOW, port, afterwards=(Role.REPLAY, Role.GROUND_TRUTH))
    while await runner.run_once():
        pass
    return port


def runner_of(site: Site) -> TruthSetRunner:
    from observability.redaction import Pseudonymiser

    return TruthSetRunner(site.ledger, Pseudonymiser(b"k" * 32))


async def test_a_set_is_registered_once_and_its_next_content_is_its_next_version(
    http: httpx.AsyncClient,
) -> None:
    first = await http.post(PATH, json=a_set(), headers={"X-Serinus-Actor": "ada"})
    again = await http.post(PATH, json=a_set(line(2, "absent"), line(1, finding=FINDING)))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert (first.json()["version"], first.json()["actor"]) == (1, "ris/ada")
    assert first.json()["counts"] == {FINDING: {"present": 1, "absent": 1}}
    other = await http.post(PATH, json=a_set(line(1)))
    assert (other.status_code, other.json()["version"]) == (201, 2)
    assert [one["version"] for one in (await http.get(PATH)).json()["truth_sets"]] == [2]


async def test_a_set_is_deleted_with_what_it_names_and_its_results_stay(
    site: Site, http: httpx.AsyncClient
) -> None:
    registered = (await http.post(PATH, json=a_set())).json()
    await http.post(RUNS)
    deleted = await http.delete(f"{PATH}/ref", headers={"X-Serinus-Actor": "ada"})
    assert (deleted.status_code, deleted.json()) == (200, registered)
    assert (await http.get(PATH)).json()["truth_sets"] == []
    assert site.ledger.truth_sets.studies("ref", 1) == ()
    assert site.ledger.shadows.backlog() == {}, "nobody reads it any more"
    runs = (await http.get(RESULTS)).json()["runs"]
    assert [(run["findings"][0]["unread"], run["waiting"]) for run in runs] == [(2, 0)] * 2
    assert all(run["ended_at"] for run in runs)
    assert (await http.delete(f"{PATH}/ref")).status_code == 404
    assert (await http.post(RUNS)).status_code == 404
    assert "truth-set.delete" in [row.action for row in site.ledger.audit.rows()]


async def test_a_set_is_not_deleted_while_it_is_evidence_of_a_rollout(
    site: Site, http: httpx.AsyncClient
) -> None:
    await http.post(PATH, json=a_set())
    declared = plan(model="ich-triage", metrics=(sensitivity(truth_sets=("ref",)), *METRICS[1:]))
    site.ledger.rollouts.begin(declared, begun(declared), actor="ris/ada")
    refused = await http.delete(f"{PATH}/ref")
    assert (refused.status_code, refused.json()["code"]) == (409, "truth-set-in-use")
    assert site.ledger.truth_sets.get("ref").version == 1


async def test_no_answer_about_a_set_names_a_study_or_a_reader(site: Site, http: httpx.AsyncClient) -> None:
    await http.post(PATH, json=a_set())
    await http.post(RUNS)
    said = [(await http.get(route)).text for route in (PATH, RESULTS, "/v1/audit")]
    assert "1.2.840" not in "".join(said)
    assert '"lab"' not in "".join(said)


@pytest.mark.parametrize(
    ("lines", "pointer", "word"),
    [
        ([line(1), line(1)], "/lines/1", "line 2: the study has a truth"),
        ([line(1), line(1, "absent")], "/lines/1", "line 2"),
        ([line(1), line(2, study_source="nowhere")], "/lines/1", "no source"),
        ([line(1, finding="9@SCT")], "/lines/0", "one finding of the model"),
        ([line(1), line(2), line(2, series_uid="1.2.3")], "/lines/2", "another source or series"),
    ],
)
async def test_a_set_with_a_bad_line_is_refused_whole(
    site: Site, http: httpx.AsyncClient, lines: list[dict[str, Any]], pointer: str, word: str
) -> None:
    answer = await http.post(PATH, json=a_set(*lines))
    assert (answer.status_code, answer.json()["pointer"]) == (422, pointer)
    assert word in answer.json()["detail"]
    assert "1.2.840" not in answer.text
    assert site.ledger.truth_sets.newest() == ()


@pytest.mark.parametrize(
    "body",
    [
        a_set(lines=[]),
        a_set(line(1, "indeterminate")),
        a_set(line(1, study_uid="x")),
        a_set(line(1, reader="Dr. Anna Example")),
        a_set(model="no-such-model"),
        a_set(name="a b"),
        a_set(every="7d"),
    ],
)
async def test_what_is_no_set_is_refused(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await http.post(PATH, json=body)).status_code == 422


async def test_a_run_has_every_live_version_read_the_set_and_tells_how_right_it_was(
    site: Site, http: httpx.AsyncClient
) -> None:
    await http.post(PATH, json=a_set(line(1, series_uid="1.2.3"), line(2, "absent"), line(3)))
    begun = await http.post(RUNS)
    assert begun.status_code == 202
    assert {(run["version"], run["waiting"]) for run in begun.json()["runs"]} == {("1", 3), ("2", 3)}
    port = await read_all(site)
    assert sorted(version for version, *_ in port.asked) == ["1"] * 3 + ["2"] * 3
    series = {request.study.study_uid: request.study.series_uids for request in port.fetched}
    assert series == {"1.2.840.1": ("1.2.3",), "1.2.840.2": (), "1.2.840.3": ()}
    results = {run["version"]: run["findings"][0] for run in (await http.get(RESULTS)).json()["runs"]}
    one, two = results["1"], results["2"]
    assert (one["sensitivity"]["share"], one["specificity"]["share"]) == (1.0, 0.0)
    assert (two["sensitivity"]["share"], two["specificity"]["share"]) == (0.0, 1.0)
    assert one["sensitivity"]["low"] == pytest.approx(0.1581, abs=1e-4)  # two of two
    assert (one["failed"], one["unread"]) == (0, 0)
    assert site.ledger.escalations.since(0, 99, None) == ()


async def test_the_result_of_a_run_that_ended_is_kept_and_the_next_run_is_another(
    site: Site, http: httpx.AsyncClient
) -> None:
    await http.post(PATH, json=a_set())
    first = (await http.post(RUNS)).json()["runs"]
    assert (await http.post(RUNS)).json()["runs"] == first, "under way"
    assert runner_of(site).settle() == 0
    await read_all(site)
    assert runner_of(site).settle() == 2
    assert runner_of(site).settle() == 0
    kept = (await http.get(RESULTS)).json()["runs"]
    assert all(run["ended_at"] for run in kept)
    await http.post(RUNS)
    runs = (await http.get(RESULTS)).json()["runs"]
    assert len(runs) == 4
    assert [run for run in runs if run["ended_at"]] == kept


async def test_only_an_administrator_registers_schedules_and_runs(site: Site) -> None:
    async with site.client() as admin:
        await admin.post(PATH, json=a_set())
    async with site.client(site.new_key("plain", *(set(Scope) - {Scope.ADMIN}))) as http:
        refused = [
            await http.post(PATH, json=a_set()),
            await http.put(SCHEDULE, json={"every": "7d"}),
            await http.post(RUNS),
        ]
        assert [answer.status_code for answer in refused] == [403] * 3
        assert [(await http.get(path)).status_code for path in (PATH, RESULTS)] == [200, 200]
    async with site.client(site.new_key("teller", Scope.TRUTH_WRITE)) as http:
        assert [(await http.get(path)).status_code for path in (PATH, RESULTS)] == [403, 403]


async def test_an_unknown_set_is_not_found(http: httpx.AsyncClient) -> None:
    answers = [
        await http.get(RESULTS),
        await http.post(RUNS),
        await http.put(SCHEDULE, json={"every": None}),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {
        (404, "truth-set-not-found")
    }


async def test_without_a_version_that_is_served_a_run_waits_for_nobody(
    site: Site, http: httpx.AsyncClient
) -> None:
    await http.post(PATH, json=a_set())
    site.snapshot = replace(site.snapshot, endpoints={})
    answer = await http.post(RUNS)
    assert (answer.status_code, answer.json()["code"]) == (503, "model-unavailable")


@pytest.mark.parametrize(("every", "status"), [("7d", 200), ("0d", 422), ("weekly", 422), (None, 200)])
async def test_a_schedule_is_a_duration_or_none(
    http: httpx.AsyncClient, every: str | None, status: int
) -> None:
    await http.post(PATH, json=a_set())
    answer = await http.put(SCHEDULE, json={"every": every})
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["every_s"] == (604_800 if every else None)


# --- by itself


async def test_a_version_that_appears_is_due_at_once_and_then_after_its_time(
    site: Site, http: httpx.AsyncClient
) -> None:
    site.snapshot = a_snapshot(a_version("1"))
    await http.post(PATH, json=a_set())
    runner = runner_of(site)
    assert runner.start_due(site.snapshot, now(), actor="schedule") == (), "it has no schedule"
    await http.put(SCHEDULE, json={"every": "1d"})

    def due(after: timedelta = timedelta()) -> list[str]:
        started = runner.start_due(site.snapshot, now() + after, actor="schedule")
        return [run.version for run in started]

    assert due() == ["1"]
    assert due() == []
    serve_candidate(site)
    assert due() == ["2"]
    await read_all(site)
    runner.settle()
    assert due(timedelta(hours=23)) == []
    assert due(timedelta(hours=25)) == ["1", "2"]


def test_live_are_champion_challenger_and_arms_once_each_and_only_what_is_served(site: Site) -> None:
    assert [one.variant.version for one in live_versions(site.snapshot, "ich-triage")] == ["1", "2"]
    champion_only = replace(
        site.snapshot,
        endpoints={app: one for app, one in site.snapshot.endpoints.items() if app != CANDIDATE.app_name},
    )
    assert [one.variant.version for one in live_versions(champion_only, "ich-triage")] == ["1"]
    assert live_versions(RoutingSnapshot(), "ich-triage") == ()
    canary = a_snapshot(a_version("1"), canary=a_version("2"), weight_bp=500)
    assert [one.variant.name for one in live_versions(canary, "ich-triage")] == ["champion", "canary"]


async def test_one_look_keeps_what_was_read_and_starts_what_is_due(
    site: Site, http: httpx.AsyncClient
) -> None:
    site.snapshot = a_snapshot(a_version("1"))
    await http.post(PATH, json=a_set())
    await http.put(SCHEDULE, json={"every": "1d"})
    runner = runner_of(site)
    runner.look(site.snapshot, now(), actor="schedule")
    await read_all(site)
    serve_candidate(site)
    runner.look(site.snapshot, now(), actor="schedule")
    (of,) = site.ledger.truth_sets.newest()
    runs = site.ledger.truth_set_runs
    assert [run.version for run in runs.open_runs(of.name)] == ["2"], "the first has its result"
