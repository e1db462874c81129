"""`serinus rollout`: what it sends, and what it prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from serve_apps.api.examples import BY_SCHEMA
from serve_apps.cli import rollout as command
from serve_apps.cli.main import app

FILE = Path(__file__).parents[3] / "examples/rollouts/chest-ct.yaml"
ONE = BY_SCHEMA["RolloutDetailOut"]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Mapping[str, Any] | None]]:
    """What was asked of an API that knows one rollout."""
    calls: list[tuple[str, str, Mapping[str, Any] | None]] = []

    def ask(method: str, path: str, as_json: bool, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        calls.append((method, path, body))
        return dict(BY_SCHEMA["RolloutsOut"] if path == "/v1/rollouts" else ONE)

    monkeypatch.setattr(command, "ask", ask)
    return calls


def run(*arguments: str, exit_code: int = 0) -> str:
    done = CliRunner().invoke(app, ["rollout", *arguments])
    assert done.exit_code == exit_code, done.output
    return done.output


@pytest.mark.parametrize(
    ("arguments", "verb", "body"),
    [
        (("pause", "ich", "--note", "audit"), "pause", {"note": "audit"}),
        (("resume", "ich"), "resume", {}),
        (("approve", "ich", "--role", "quality"), "approve", {"role": "quality"}),
        (("promote", "ich"), "promote", {}),
        (("promote", "ich", "--full"), "promote", {"full": True}),
        (("abort", "ich"), "abort", {}),
        (("retry", "ich"), "retry", {}),
        (("undo", "ich", "--to", "1"), "undo", {"to": "1"}),
    ],
)
def test_a_verb_is_sent_with_its_words(
    sent: list[Any], arguments: tuple[str, ...], verb: str, body: dict[str, Any]
) -> None:
    printed = run(*arguments)
    assert sent == [("POST", f"/v1/rollouts/ich/{verb}", body)]
    assert "waits for the approval of quality" in printed
    assert json.loads(run(*arguments, "--json")) == ONE


def test_a_start_sends_the_text_of_the_file(sent: list[Any]) -> None:
    run("start", "chest-ct-nodule", str(FILE))
    assert sent == [("PUT", "/v1/rollouts/chest-ct-nodule", {"spec": FILE.read_text()})]


def test_a_file_with_mistakes_is_not_sent(sent: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "rollout.yaml"
    file.write_text("kind: ModelRollout\n")
    run("start", "ich", str(file), exit_code=1)
    run("plan", str(file), "--studies-per-day", "400", "--prevalence", "0.1", exit_code=1)
    assert sent == []


def test_the_status_of_all_and_of_one_is_printed(sent: list[Any]) -> None:
    assert "ich-triage" in run("status")
    told = run("status", "ich-triage")
    assert sent == [("GET", "/v1/rollouts", None), ("GET", "/v1/rollouts/ich-triage", None)]
    for line in ("version 2 against 1", "sensitivity: Successful", "approved step 2 as radiologist"):
        assert line in told


def test_what_people_wrote_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = {**ONE, "reason": "ada paused it: [/red] of [QM-17]"}
    monkeypatch.setattr(command, "ask", lambda *_: noted if _[1] != "/v1/rollouts" else {"rollouts": [noted]})
    for arguments in (("status",), ("status", "ich-triage"), ("pause", "ich-triage")):
        assert "[/red] of [QM-17]" in " ".join(run(*arguments).split())


def test_a_refusal_is_no_markup(tmp_path: Path) -> None:
    file = tmp_path / "[red].yaml"
    file.write_text("kind: ModelRollout\n")
    assert "[red].yaml:1" in run("check", str(file), exit_code=1)


def test_a_plan_tells_studies_and_days_of_each_decision_and_warns() -> None:
    site = (str(FILE), "--studies-per-day", "400", "--prevalence", "0.1")
    rows = json.loads(run("plan", *site, "--json"))
    by_metric = {(row["metric"], row["decision"]): row for row in rows}
    assert all(row["days"] is None or row["days"] > 0 for row in rows)
    assert len(by_metric) == len(rows) > 0
    assert "forecast" in run("plan", *site)
    slow = json.loads(run("plan", str(FILE), "--studies-per-day", "1", "--prevalence", "0.01", "--json"))
    assert any(row["warning"] for row in slow)
    assert sum(row["days"] or 0 for row in slow) > sum(row["days"] or 0 for row in rows)
