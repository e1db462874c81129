"""What the commands print and with which exit code they end, from the answers of a hand-written API."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from registry.process_group import Ended
from serve_apps.api.routing_schemas import (
    ConfirmedOut,
    FreezeOut,
    LayerIn,
    PinIn,
    SafetyNetIn,
    ShadowIn,
    WeightIn,
)
from serve_apps.api.schemas import DeadLetterOut, FrozenOut, PendingShadowsOut, QueueOut
from serve_apps.cli import freeze, output, routing, study
from serve_apps.cli.main import app
from serve_apps.cli.percent import in_percent, to_basis_points
from serve_apps.cli.status import print_status
from serve_apps.embedded import lifecycle

WIRE = {"weight": WeightIn, "layer": LayerIn, "shadow": ShadowIn, "pin": PinIn, "safety-net": SafetyNetIn}
ROUTES = {"generation": 7, "frozen": None, "models": [], "pending": []}


class FakeApi:
    """Answers every request with one document and remembers what was asked."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, Mapping[str, Any] | None]] = []

    def ask(
        self, method: str, path: str, as_json: bool, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        self.asked.append((method, path, body))
        return dict(self.answer)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run_with(api: FakeApi, *arguments: str) -> Result:
        monkeypatch.setattr(freeze, "ask", api.ask)
        monkeypatch.setattr(routing, "ask", api.ask)
        with output.out.capture() as captured:
            result = CliRunner().invoke(app, list(arguments))
        result.printed = captured.get()  # type: ignore[attr-defined]
        return result

    return run_with


def frozen(*, recorded: bool, confirmed: Mapping[str, int], unconfirmed: int = 0) -> dict[str, Any]:
    parts = tuple(ConfirmedOut(deployment=name, replicas=count) for name, count in confirmed.items())
    answer = FreezeOut(frozen=True, recorded=recorded, confirmed=parts, unconfirmed=unconfirmed)
    return answer.model_dump(mode="json")


@pytest.mark.parametrize(
    ("answer", "exit_code", "told"),
    [
        (frozen(recorded=True, confirmed={"Ingress": 2, "JobWorker": 1}), 0, "2 Ingress, 1 JobWorker"),
        (frozen(recorded=False, confirmed={"Ingress": 1}), 0, "not recorded"),
        (frozen(recorded=True, confirmed={}), 0, "confirmed by no replica"),
        (frozen(recorded=True, confirmed={"Ingress": 1}, unconfirmed=3), 0, "3 replicas did not confirm"),
        (frozen(recorded=False, confirmed={}), 1, "does not hold"),
        (frozen(recorded=False, confirmed={"Ingress": 0}), 1, "does not hold"),
    ],
    ids=["both", "not recorded", "nobody", "some not", "neither", "no replica of it"],
)
def test_a_freeze_says_whether_it_holds(run: Any, answer: dict[str, Any], exit_code: int, told: str) -> None:
    result = run(FakeApi(answer), "freeze", "a drill")
    assert (result.exit_code, told in result.printed) == (exit_code, True), result.printed


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (["set-weight", "ich", "2", "12.5"], "weight", {"version": "2", "weight_bp": 1_250}),
        (["shadow", "ich", "shadow-b", "20"], "shadow", {"alias": "shadow-b", "percent": 20}),
        (["pin", "ich", "PAT1", "canary"], "pin", {"patient_id": "PAT1", "variant": "canary"}),
        (["safety-net", "ich", "0.01"], "safety-net", {"share_bp": 1}),
        (
            ["set-layer", "ich", "reading:0-12.5"],
            "layer",
            {"slot": {"layer": "reading", "start": 0, "stop": 1_250}},
        ),
        (["set-layer", "ich"], "layer", {"slot": None}),
    ],
)
def test_a_share_is_said_in_percent_and_sent_as_the_api_wants_it(
    run: Any, arguments: list[str], path: str, body: dict[str, Any]
) -> None:
    api = FakeApi(ROUTES)
    assert run(api, "route", *arguments).exit_code == 0
    assert api.asked == [("PUT", f"/v1/routes/ich/{path}", body)]
    WIRE[path].model_validate(body)


@pytest.mark.parametrize(
    "arguments",
    [["set-weight", "ich", "2", "10"], ["shadow", "ich", "challenger", "5"], ["pin", "ich", "PAT1", "arm-a"]],
)
def test_only_a_change_in_advance_says_so(run: Any, arguments: list[str]) -> None:
    api = FakeApi(ROUTES)
    run(api, "route", *arguments)
    run(api, "route", *arguments, "--in-advance")
    plain, in_advance = (body for _, _, body in api.asked)
    assert in_advance == {**(plain or {}), "in_advance": True}
    assert WIRE[arguments[0].removeprefix("set-")].model_validate(in_advance)


def test_rules_in_advance_come_from_a_file(run: Any, tmp_path: Any) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("[{name: north, variant: arm-a, sites: [north]}]")
    api = FakeApi(ROUTES)
    assert run(api, "route", "rules", "ich", str(file), "--in-advance").exit_code == 0
    rule = {"name": "north", "variant": "arm-a", "sites": ["north"]}
    assert api.asked[0][2] == {"rules": [rule], "in_advance": True}


def test_a_share_above_100_percent_is_refused_before_it_is_sent(run: Any) -> None:
    api = FakeApi(ROUTES)
    assert run(api, "route", "set-weight", "ich", "2", "100.5").exit_code != 0
    assert api.asked == []


@pytest.mark.parametrize("text", ["reading", "reading:0", "reading:50-0-1", ":0-50", "reading:a-b"])
def test_what_is_no_slot_is_refused_before_it_is_sent(run: Any, text: str) -> None:
    api = FakeApi(ROUTES)
    refused = run(api, "route", "set-layer", "ich", text)
    assert refused.exit_code != 0
    assert api.asked == []


def test_pending_shadows_are_discarded_with_a_reason(run: Any) -> None:
    api = FakeApi({"discarded": 4})
    result = run(api, "route", "discard", "ich", "2", "withdrawn by its maker")
    assert api.asked[0][:2] == ("DELETE", "/v1/routes/ich/pending/2?reason=withdrawn%20by%20its%20maker")
    assert "4 pending shadows were discarded" in result.printed


MODELS = {"generation": 1, "registry": "available", "site_policy": "strict", "variants": [], "alarms": {}}
STATUS = {"running": {"api": True}, "addresses": {}, "models": MODELS, "queue": {"queued": 2}}


def printed_status(**changes: Any) -> str:
    with output.out.capture() as captured:
        print_status({**STATUS, **changes})
    return captured.get()


def test_status_of_an_api_that_tells_less_is_printed_all_the_same() -> None:
    assert "queued 2" in printed_status()
    assert "alarm" not in printed_status()
    assert "api" in printed_status(models=None, queue=None)


@pytest.mark.parametrize(
    ("frozen", "told"),
    [
        (
            FrozenOut(by="ada", reason="odd reports"),
            "frozen by ada: odd reports; all traffic goes to the champions",
        ),
        (FrozenOut(), "frozen, which the ledger has not recorded; all traffic"),
    ],
)
def test_status_tells_a_freeze(frozen: FrozenOut, told: str) -> None:
    assert told in printed_status(models={**MODELS, "frozen": frozen.model_dump(mode="json")})


def test_status_shows_what_waits_for_a_person() -> None:
    letter = DeadLetterOut(
        job_id="job-7",
        kind="report",
        document="sr",
        destination="pacs",
        attempts=8,
        error="it answered 409",
        ended_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    pending = PendingShadowsOut(model="ich", version="2", shadows=3)
    queue = QueueOut(dead_letters=(letter,), pending_shadows=(pending,), oldest_shadow_s=90.4)
    text = printed_status(
        models={
            **MODELS,
            "alarms": {"ich": "no champion", "routers/JobWorker": "the ledger is older"},
            "conditions": {"ich/weight": "it waits"},
        },
        queue=queue.model_dump(mode="json"),
    )
    assert "alarm ich: no champion" in text
    assert "alarm routers/JobWorker: the ledger is older" in text
    assert "condition ich/weight: it waits" in text
    assert (
        "alarm dead letter: report of job job-7 to pacs was given up after 8 attempts: it answered 409"
        in text
    )
    assert "pending shadows  ich 2: 3 studies" in text
    assert "pending for 90 s" in text


def test_down_tells_which_processes_cannot_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "stop", lambda _: Ended(3, {4711: "raylet"}))
    with output.out.capture() as captured:
        result = CliRunner().invoke(app, ["down"])
    assert result.exit_code == 1
    assert "4711 (raylet) cannot be ended" in captured.get()
    document = json.loads(CliRunner().invoke(app, ["down", "--json"]).stdout)
    assert document == {"ended": 3, "remaining": [{"pid": 4711, "name": "raylet"}]}


@pytest.mark.parametrize(
    ("percent", "share_bp"), [(0, 0), (0.01, 1), (12.5, 1_250), (29.0, 2_900), (100, 10_000)]
)
def test_percent_and_basis_points_are_each_others_inverse(percent: float, share_bp: int) -> None:
    assert to_basis_points(percent) == share_bp
    assert in_percent(share_bp) == f"{percent:g} %"


def test_routes_show_what_was_set_in_advance(run: Any) -> None:
    change = {"model": "ich", "what": "weight", "expires_at": "2026-01-08T12:00:00+00:00"}
    assert (
        "ich weight was set in advance and expires at 2026-01-08T12:00:00"
        in run(FakeApi({**ROUTES, "in_advance": [change]}), "route", "get").printed
    )


class Submissions:
    """Stands for `run_study`: keeps the bodies that would be sent."""

    def __init__(self) -> None:
        self.bodies: list[Mapping[str, Any]] = []

    def __call__(self, settings: object, body: Mapping[str, Any], **_: object) -> dict[str, Any]:
        self.bodies.append(body)
        return {"job": {"id": "1"}}


def test_submit_sends_the_context_and_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Submissions()
    monkeypatch.setattr(study, "run_study", sent)
    options = ["--context", "department=ED", "--context", "formula=a=b", "--deadline", "20", "--json"]
    assert CliRunner().invoke(app, ["submit", "1.2.3", *options]).exit_code == 0
    (body,) = sent.bodies
    assert body["context"] == {"department": "ED", "formula": "a=b"}
    assert body["deadline_s"] == 20.0


@pytest.mark.parametrize("wrong", ["ED", "=ED"])
def test_a_context_without_a_name_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    sent = Submissions()
    monkeypatch.setattr(study, "run_study", sent)
    result = CliRunner().invoke(app, ["submit", "1.2.3", "--context", wrong])
    assert (result.exit_code, sent.bodies) == (2, [])


def test_a_command_about_models_keeps_mlflow_from_printing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "MLFLOW_LOGGING_LEVEL"):
        monkeypatch.setenv(name, "")
    assert CliRunner().invoke(app, ["models", "schema"]).exit_code == 0
    assert os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] == "true"
    assert os.environ["MLFLOW_LOGGING_LEVEL"] == "WARNING"
