"""`serinus rollout recall`: what it asks, what it prints, and what it writes."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from serve_apps.api.examples import BY_SCHEMA
from serve_apps.cli import recall as command
from serve_apps.cli.main import app

HEAD, ITEM, WHOLE = BY_SCHEMA["RecallHeadOut"], BY_SCHEMA["RecallItemOut"], BY_SCHEMA["RecallOut"]
BLANK = {"error_code": None, "score_change": None, "closed_at": None, "closed_by": None, "note": None}


def item(number: int, **changes: Any) -> dict[str, Any]:
    return {**BLANK, **ITEM, "id": f"{number:032x}", **changes}


class Api:
    """An API that has one list."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self.items = list(items)
        self.calls: list[tuple[str, str, Mapping[str, Any] | None]] = []

    def ask(
        self, method: str, path: str, as_json: bool, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        self.calls.append((method, path, body))
        if "/items/" in path:
            return {**item(1), "closed_by": "ris/ada"}
        if path.endswith("/recalls"):
            return {"recalls": [HEAD]}
        if method == "POST":
            return dict(HEAD)
        given = parse_qs(urlsplit(path).query)
        start, limit = int(given.get("offset", ["0"])[0]), int(given["limit"][0])
        summary = {**HEAD["summary"], "studies": len(self.items)}
        return {**WHOLE, "summary": summary, "items": self.items[start : start + limit]}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api(item(1), item(2, open=False, difference="none", delivered_missed=False))
    monkeypatch.setattr(command, "ask", made.ask)
    return made


def run(*arguments: str, exit_code: int = 0) -> str:
    done = CliRunner().invoke(app, ["rollout", *arguments])
    assert done.exit_code == exit_code, done.output
    return done.output


def test_a_person_sees_what_is_open_and_how_many_there_are(api: Api) -> None:
    printed = run("recall", "ich-triage", "--run", "2")
    assert api.calls == [("GET", "/v1/rollouts/ich-triage/recall?run=2&limit=1000", None)]
    assert "2 studies of ich-triage were answered by version 2 (run 2)" in printed
    assert "2 wait for a person, 1 of them now" in printed
    assert "studies that were on their way may still come" in printed
    for line in (
        f"critical, missed  {ITEM['study_uid']}, answered 2026-05-09T11:20 as canary",
        "  Intracranial hemorrhage: absent, now present",
        "  sr to pacs (done); 2.25.1234567893",
        f"  item {1:032x}",
    ):
        assert line in printed
    assert f"{2:032x}" not in printed, "it agrees"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "critical, missed"),
        ({"delivered_missed": False}, "critical"),
        ({"state": "unreadable", "difference": None, "error_code": "gone"}, "cannot be read again: gone"),
        ({"state": "pending", "difference": None}, "not yet read again"),
    ],
)
def test_an_item_says_why_a_person_has_to_look(changes: dict[str, Any], told: str) -> None:
    assert command._kind(item(1, **changes)) == told


def test_a_machine_gets_the_whole_list(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PAGE", 2)
    api.items = [item(number) for number in range(5)]
    whole = json.loads(run("recall", "ich-triage", "--json"))
    assert [one["id"] for one in whole["items"]] == [one["id"] for one in api.items]
    pages = [path.partition("?")[2] for _, path, _ in api.calls]
    of_it = f"id={HEAD['id']}&limit=2"
    assert pages == ["limit=2", f"{of_it}&offset=2", f"{of_it}&offset=4"]


def test_a_list_that_became_shorter_meanwhile_ends(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PAGE", 1)
    first = {**WHOLE, "summary": {**HEAD["summary"], "studies": 3}, "items": [item(1)]}
    answers = [first, {**first, "items": []}]
    monkeypatch.setattr(command, "ask", lambda *_: answers.pop(0))
    assert len(json.loads(run("recall", "ich-triage", "--json"))["items"]) == 1


def test_a_spreadsheet_gets_every_study_and_calculates_none(api: Api, tmp_path: Path) -> None:
    api.items[0] = item(1, note="=cmd()", score_change=-62)
    file = tmp_path / "recall.csv"
    assert "2 studies are written to" in run("recall", "ich-triage", "--csv", str(file))
    rows = list(csv.DictReader(file.open()))
    assert [row["item"] for row in rows] == [one["id"] for one in api.items]
    assert (rows[0]["note"], rows[0]["score_change"]) == ("'=cmd()", "-62")
    assert rows[0]["study_uid"] == ITEM["study_uid"]
    assert rows[0]["documents"] == "sr to pacs (done); 2.25.1234567893"


def test_a_file_that_cannot_be_written_is_told(api: Api, tmp_path: Path) -> None:
    missing = tmp_path / "away" / "recall.csv"
    run("recall", "ich-triage", "--csv", str(missing), exit_code=1)


def test_lists_are_listed(api: Api) -> None:
    assert "canary-failures is Failed" in run("recalls", "ich-triage")
    assert json.loads(run("recalls", "ich-triage", "--json")) == {"recalls": [HEAD]}
    assert api.calls[0][:2] == ("GET", "/v1/rollouts/ich-triage/recalls")


def test_a_recall_is_begun_with_the_words_that_were_given(api: Api) -> None:
    run("recall-begin", "ich-triage", "--run", "2")
    run("recall-begin", "ich-triage", "--version", "5", "--since", "2026-05-01T08:00:00Z", "--note", "QM-17")
    assert [body for _, _, body in api.calls] == [
        {"run": 2},
        {"version": "5", "since": "2026-05-01T08:00:00Z", "note": "QM-17"},
    ]


def test_an_item_is_closed_with_a_note(api: Api) -> None:
    assert "is closed by ris/ada" in run(
        "recall-done", "ich-triage", f"{1:032x}", "--note", "called the ward"
    )
    assert api.calls == [
        ("POST", f"/v1/rollouts/ich-triage/recall/items/{1:032x}", {"note": "called the ward"})
    ]
    run("recall-done", "ich-triage", f"{1:032x}", exit_code=2)
