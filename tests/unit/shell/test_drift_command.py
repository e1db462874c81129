"""`serinus drift`: what it asks for and shows; an alarm is exit code 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from serve_apps.api.examples import BY_SCHEMA
from serve_apps.cli import drift as command
from serve_apps.cli.main import app

ANSWERS = {"GET": "DriftReportOut", "PUT": "DriftReferenceOut", "POST": "DriftAcknowledgedOut"}


class Api:
    """Answers as the API's description shows."""

    def __init__(self) -> None:
        self.state = "quiet"
        self.asked: list[tuple[Any, ...]] = []

    def ask(self, method: str, path: str, as_json: bool, body: Any = None) -> dict[str, Any]:
        self.asked.append((method, path, body))
        name = ANSWERS[method]
        return {**BY_SCHEMA[name]} | ({"state": self.state} if method == "GET" else {})

    def ask_page(self, path: str, as_json: bool) -> bytes:
        return b"<!doctype html>"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    stands = Api()
    monkeypatch.setattr(command, "ask", stands.ask)
    monkeypatch.setattr(command, "ask_page", stands.ask_page)
    return stands


def run(*arguments: str, exit_code: int = 0) -> str:
    done = CliRunner().invoke(app, ["drift", *arguments])
    assert done.exit_code == exit_code, done.output
    return done.output


@pytest.mark.parametrize(("state", "exit_code"), [("quiet", 0), ("watch", 0), ("not-armed", 0), ("alarm", 1)])
def test_an_alarm_and_nothing_else_is_an_error(api: Api, state: str, exit_code: int) -> None:
    api.state = state
    told = run("report", "ich-triage", exit_code=exit_code)
    assert state in told
    assert "admin/ada" in told
    assert "PSI" in told


def test_a_page_is_written_beside_it(api: Api, tmp_path: Path) -> None:
    run("report", "ich-triage", "--version", "2", "--page", str(tmp_path / "drift.html"))
    assert (tmp_path / "drift.html").read_bytes() == b"<!doctype html>"
    assert api.asked == [("GET", "/v1/drift/ich-triage?version=2", None)]


def test_days_are_accepted_and_told(api: Api) -> None:
    told = run("accept", "ich-triage", "--days", "14")
    assert api.asked == [("PUT", "/v1/drift/ich-triage/reference", {"days": 14})]
    assert "11200 studies of 28 days" in told
    assert json.loads(run("accept", "ich-triage", "--json"))["number"] == 1


def test_who_acknowledges_is_told_what_it_was(api: Api) -> None:
    told = run("acknowledge", "ich-triage", "--version", "2")
    assert api.asked == [("POST", "/v1/drift/ich-triage/acknowledge", {"version": "2"})]
    assert "looked at version 2 of ich-triage: top_score at north" in told


def test_a_report_tells_what_could_not_be_seen_and_what_stands_against_the_truth(api: Api) -> None:
    told = run("report", "ich-triage")
    assert "smallest shift visible in 4 weeks" in told
    assert "5 of 410 studies unlike the reference (1.2 %)" in told
    assert "against the truth" in told
    assert "ground-truth sets" in told


def test_a_report_without_any_truth_says_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = {"against_truth": [], "scoreboard": [], "blind_spots": [], "outliers": None}
    monkeypatch.setattr(
        command, "ask", lambda *asked: {**BY_SCHEMA["DriftReportOut"], "state": "quiet", **nothing}
    )
    told = " ".join(run("report", "ich-triage").split())
    assert "No answer of this version is kept to compare with the truth." in told
    assert "has read no ground-truth set" in told
