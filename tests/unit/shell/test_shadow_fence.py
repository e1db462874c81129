"""The fence around shadows: what an uncleared version says reaches no report, PACS, callback, result or event."""

from __future__ import annotations

import ast
import inspect
import json
import typing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from canary.assignment import StudyFacts, assign
from canary.disclosure import Role
from canary.routing_table import BASIS_POINTS
from core.study import StudyRef
from imaging.finding import Code, Prediction, Presence, Urgency
from imaging.report_sr import to_sr
from imaging.segmentation import to_seg
from ledger import Audience, Delivery, ShadowTask
from observability.redaction import Pseudonymiser
from serve_apps.application import recalled, result, run_shadow, shadow
from serve_apps.application.messages import Inference
from serve_apps.application.recent_studies import RecentStudies
from serve_apps.application.run_shadow import ShadowContext, ShadowLimits, ShadowRunner
from serve_apps.application.shadow import DeliveredInference, ShadowOutcome, rule_of, shadow_tasks_of
from serve_apps.application.study_traces import StudyTraces
from serve_apps.control import recalls
from tests.unit.shell.builders import a_prediction, a_snapshot, a_spec, a_variant, a_version
from tests.unit.shell.inline import Here, Keeper
from tests.unit.shell.shadows import RULE, STUDY, Live, Port, a_claim, a_snapshot_of, a_study, absent
from tests.unit.shell.site import BODY, Site

FORBIDDEN = (
    "imaging.report",
    "imaging.segmentation",
    "imaging.dicomweb",
    "imaging.encoded",
    "serve_apps.api",
    "serve_apps.adapters",
    "serve_apps.application.deliver",
    "serve_apps.application.deliveries",
    "serve_apps.application.end_job",
    "serve_apps.application.result",
)
ZEBRA = Code("zebra", "99TEST", "Zebra of the shadow")


@pytest.mark.parametrize("module", [shadow, run_shadow, recalled, recalls], ids=lambda m: m.__name__)
def test_shadow_code_imports_nothing_that_speaks(module: typing.Any) -> None:
    tree = ast.parse(Path(inspect.getfile(module)).read_text())
    whole = {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    parts = {
        f"{n.module}.{alias.name}"
        for n in ast.walk(tree)
        if isinstance(n, ast.ImportFrom) and n.module
        for alias in n.names
    }
    assert not [name for name in whole | parts if name.startswith(FORBIDDEN)]


def test_shadow_code_is_given_no_more_of_the_ledger_than_its_own_rows() -> None:
    """Not the whole ledger, of which outbox, leases and documents would be one attribute away."""
    given = typing.get_type_hints(ShadowContext)
    ports = [given[name] for name in ("rows", "escalations", "live")]
    said = {name for port in ports for name in vars(port) if not name.startswith("_")}
    assert said == {"claim", "done", "failed", "release", "record", "any_running"}


@pytest.mark.parametrize("speaks", [to_sr, to_seg, result.to_result], ids=lambda f: f.__name__)
def test_whatever_speaks_takes_a_prediction_and_nothing_else(speaks: typing.Any) -> None:
    first = next(iter(inspect.signature(speaks).parameters))
    assert typing.get_type_hints(speaks)[first] is Prediction
    assert not issubclass(ShadowOutcome, Prediction)


def test_an_outcome_cannot_be_made_a_report() -> None:
    outcome = ShadowOutcome.from_prediction(a_prediction(), a_spec())
    with pytest.raises(AttributeError):
        result.to_result(outcome, "1.2", sr_uid=None, routing={})  # type: ignore[arg-type]


def delivered_by(version: str) -> DeliveredInference:
    prediction = replace(a_prediction(version), series_uid="1.2.3.4")
    inference = Inference(prediction, (), "cpu")
    return DeliveredInference.of(StudyRef("pacs", "1.2.3"), a_study(), inference, a_spec())


def tasks_of_a_canarys_study(delivered: DeliveredInference) -> tuple[ShadowTask, ...]:
    champion, canary = a_version("1"), a_version("2")
    snapshot = a_snapshot(champion, canary=canary, weight_bp=BASIS_POINTS)
    assignment = assign(StudyFacts("st-1", "pt-1"), snapshot.table("ich-triage"))
    return shadow_tasks_of(delivered, assignment, a_variant(champion))


def test_the_champion_is_to_read_a_canarys_study_too_and_the_same_series_by_the_same_rule() -> None:
    (task,) = tasks_of_a_canarys_study(delivered_by("2"))
    assert (task.role, task.version, task.delivered["version"]) == ("safety-net", "1", "2")
    assert task.study.series_uids == ("1.2.3.4",)
    assert rule_of(task) == RULE


def test_a_study_that_fell_back_to_the_champion_is_not_read_by_it_again() -> None:
    assert tasks_of_a_canarys_study(delivered_by("1")) == ()


def saw_a_zebra(version: str) -> Prediction:
    """A prediction whose critical finding no other version speaks of."""
    (finding,) = a_prediction().findings
    zebra = replace(finding, concept=ZEBRA, presence=Presence.PRESENT, urgency=Urgency.CRITICAL)
    return a_prediction(version, findings=(zebra,))


def shadow_runner(
    site: Site, role: Role, port: Port, worker: str = "w", afterwards: tuple[Role, ...] = ()
) -> ShadowRunner:
    ledger = site.ledger
    context = ShadowContext(
        worker,
        ledger.shadows,
        ledger.escalations,
        Live(),
        port,
        lambda: site.snapshot,
        RecentStudies(4, 300.0),
        Keeper(),
        StudyTraces(Pseudonymiser(b"k" * 32), "site"),
        Here(),
        ShadowLimits(handover_s=0.0),
    )
    return ShadowRunner(role, context, afterwards)


def a_task(role: Role) -> ShadowTask:
    claim = a_claim(role=role)
    return ShadowTask(**{name: getattr(claim, name) for name in ShadowTask.__dataclass_fields__})


async def read_with_a_callback(site: Site, http: httpx.AsyncClient, *tasks: ShadowTask) -> str:
    """A study that is delivered to a caller with a callback, and has shadows pending."""
    job: str = (await http.post("/v1/jobs", json=BODY)).json()["id"]
    claimed = site.ledger.leases.claim(job, "t", 60)
    assert claimed is not None
    said = result.to_result(absent("9"), STUDY.study_uid, sr_uid=None, routing={}).to_json()
    site.ledger.leases.complete(
        claimed.token,
        result=said,
        documents_by_kind={"sr": b"DICM"},
        deliveries_to_make=[Delivery("callback", "https://ris/", payload={"result": said})],
        stages_s={},
        model="ich-triage",
        shadows=tasks,
        study_key="st-1",
    )
    return job


async def heard_by_people(site: Site, http: httpx.AsyncClient, job: str) -> str:
    """All that leaves the site about a job: its result, its state, the events, the callback, the documents."""
    routes = (
        f"/v1/jobs/{job}",
        f"/v1/jobs/{job}/results",
        f"/v1/jobs/{job}/explain",
        "/v1/events",
        "/v1/jobs",
    )
    said = [(await http.get(route)).text for route in routes]
    callbacks = site.ledger.outbox.claim_of_job(job, "t", 60)
    assert callbacks
    said += [json.dumps(callback.payload) for callback in callbacks]
    return "\n".join([*said, site.ledger.jobs.document(job, "sr").decode()])


@pytest.mark.parametrize("role", [Role.SHADOW, Role.SAFETY_NET, Role.RECALL])
@pytest.mark.parametrize("may_answer", [False, True])
async def test_a_finding_is_heard_by_people_only_if_the_version_may_answer_here(
    site: Site, http: httpx.AsyncClient, role: Role, may_answer: bool
) -> None:
    """Without the second half nobody would know whether the first one can fail."""
    job = await read_with_a_callback(site, http, a_task(role))
    version = a_claim(role=role).version
    site.snapshot = a_snapshot_of(replace(a_version(version), may_answer=may_answer))
    assert await shadow_runner(site, role, Port({version: saw_a_zebra(version)})).run_once()
    assert ("zebra" in (await heard_by_people(site, http, job)).lower()) is may_answer
    assert "Zebra" in json.dumps(site.ledger.escalations.of_job(job, None)), "evidence has it in any case"


async def test_what_is_for_the_evidence_store_is_in_no_stream_of_events(
    site: Site, http: httpx.AsyncClient
) -> None:
    job = await read_with_a_callback(site, http)
    for audience in Audience:
        site.ledger.escalations.record(job, {"code": audience.value, "sentence": audience.value}, audience)
    events = (await http.get("/v1/events")).json()["events"]
    assert "evidence" not in json.dumps(events)
    assert "caller" in json.dumps(events)


async def test_two_workers_read_each_shadow_exactly_once(site: Site, http: httpx.AsyncClient) -> None:
    for _ in range(3):
        await read_with_a_callback(site, http, a_task(Role.SHADOW), a_task(Role.SAFETY_NET))
    site.snapshot = a_snapshot_of()
    ports = Port(), Port()
    runners = [
        shadow_runner(site, role, port, worker)
        for worker, port in zip("ab", ports, strict=True)
        for role in (Role.SHADOW, Role.SAFETY_NET)
    ]
    while any([await runner.run_once() for runner in runners]):
        pass
    assert len(ports[0].asked) + len(ports[1].asked) == 6
    assert all(port.asked for port in ports)
    assert len(site.ledger.shadows.outcomes("ich-triage")) == 6
