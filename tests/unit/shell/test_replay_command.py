"""`serinus replay`: what it sends, how it follows, and what it prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from serve_apps.api.examples import BY_SCHEMA
from serve_apps.cli import replay as command
from serve_apps.cli.main import app

ONE = BY_SCHEMA["ReplayOut"]
ID = ONE["id"]
DONE = ONE | {"state": "done", "waiting": 0, "done": 461}
Calls = list[tuple[str, str, Mapping[str, Any] | None]]
START = ("--model", "ich-triage", "--candidate", "2")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What was asked of an API whose replay is over at the third look."""
    calls: Calls = []
    stands = iter([ONE | {"asked": None, "done": 0, "failed": {}}, ONE, DONE])

    def ask(method: str, path: str, as_json: bool, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        calls.append((method, path, body))
        return {"replays": [ONE]} if method == "GET" and "replays/" not in path else dict(next(stands, DONE))

    monkeypatch.setattr(command, "ask", ask)
    monkeypatch.setattr(command, "POLL_S", 0.0)
    return calls


def run(*arguments: str, exit_code: int = 0) -> Any:
    done = CliRunner().invoke(app, ["replay", *arguments])
    assert done.exit_code == exit_code, done.output
    return done


def test_a_start_follows_until_it_is_over(sent: Calls) -> None:
    done = run(*START, "--last", "500")
    assert sent == [
        ("POST", "/v1/replays", {"model": "ich-triage", "candidate": "2", "last": 500}),
        ("GET", f"/v1/replays/{ID}", None),
        ("GET", f"/v1/replays/{ID}", None),
    ]
    assert "are being looked for" in done.stderr
    assert "262 of 463 studies: 260 read, 2 model-error" in done.stderr
    assert "463 of 463 studies: 461 read, 2 model-error" in done.stderr
    assert "version 2 against 1: done" in done.stdout
    assert "37 of 500 patients were known" in done.stdout
    assert "no rollout" not in done.stdout


def test_without_waiting_it_says_how_it_began(sent: Calls) -> None:
    assert ": reading" in run(*START, "--no-wait").stdout
    assert [method for method, *_ in sent] == ["POST"]


def test_json_is_one_document(sent: Calls) -> None:
    assert json.loads(run(*START, "--json").stdout) == DONE
    assert json.loads(run("show", ID, "--json").stdout) == DONE
    assert json.loads(run("list", "--json").stdout) == {"replays": [ONE]}


@pytest.mark.parametrize("since", ["2026-05-01", "2026-05-01T08:00", "2026-05-01T08:00:00+02:00"])
def test_a_date_is_sent_as_a_time_with_its_zone(sent: Calls, since: str) -> None:
    run(*START, "--since", since, "--no-wait")
    body = sent[0][2]
    assert body is not None
    moment = datetime.fromisoformat(body["since"])
    assert moment == datetime.fromisoformat(since).astimezone()
    assert moment.tzinfo is not None


@pytest.mark.parametrize("arguments", [(), ("--model", "ich"), (*START, "--since", "yesterday")])
def test_what_is_not_said_well_is_refused_before_anything_is_sent(
    sent: Calls, arguments: tuple[str, ...]
) -> None:
    run(*arguments, exit_code=1)
    assert sent == []


def test_a_list_a_look_and_a_cancel(sent: Calls) -> None:
    assert "ich-triage" in run("list", "--model", "ich-triage").stdout
    run("show", ID)
    run("cancel", ID)
    assert sent == [
        ("GET", "/v1/replays?model=ich-triage", None),
        ("GET", f"/v1/replays/{ID}", None),
        ("DELETE", f"/v1/replays/{ID}", None),
    ]


def test_it_warns_of_pairs_that_are_no_rollout_s_evidence_and_says_what_hinders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = ONE | {"run": None, "taken_back": 3, "reason": "version 2 is not served now"}
    monkeypatch.setattr(command, "ask", lambda *_: dict(alone))
    said = run("show", ID).stdout
    for words in ("no rollout of the version is under way", "3 were taken back", "not served now"):
        assert words in said
