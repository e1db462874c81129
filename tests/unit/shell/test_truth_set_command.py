"""`serinus truth-set`: what it reads of a file, what it sends, and what it prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from serve_apps.api.examples import BY_SCHEMA
from serve_apps.cli import truth_set as command
from serve_apps.cli.main import app
from serve_apps.cli.truth_file import BadFile
from serve_apps.cli.truth_set_file import read_set

HEADER = "study_uid,study_source,series_uid,finding,label,source,reader\n"
FILE = f"{HEADER}1.2.840.1,pacs,,,present,pathology,lab\n1.2.840.2,pacs,1.2.3,1386000@SCT,absent,report,r-2\n"
LINES = (
    {
        "study_uid": "1.2.840.1",
        "study_source": "pacs",
        "label": "present",
        "source": "pathology",
        "reader": "lab",
    },
    {
        "study_uid": "1.2.840.2",
        "study_source": "pacs",
        "series_uid": "1.2.3",
        "finding": "1386000@SCT",
        "label": "absent",
        "source": "report",
        "reader": "r-2",
    },
)
Calls = list[tuple[str, str, Mapping[str, Any] | None]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls: Calls = []

    def ask(method: str, path: str, as_json: bool, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        calls.append((method, path, body))
        if path.endswith(("/runs", "/results")):
            return dict(BY_SCHEMA["ResultsOut"])
        return dict(BY_SCHEMA["TruthSetsOut" if method == "GET" else "TruthSetOut"])

    monkeypatch.setattr(command, "ask", ask)
    return calls


def run(*arguments: str, exit_code: int = 0) -> str:
    done = CliRunner().invoke(app, ["truth-set", *arguments])
    assert done.exit_code == exit_code, done.output
    return done.output


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "truths.csv"
    path.write_text(FILE)
    return path


def test_a_file_is_sent_as_one_set(sent: Calls, file: Path) -> None:
    printed = run("create", "ref", "--model", "ich-triage", "--file", str(file))
    assert sent == [("POST", "/v1/truth-sets", {"name": "ref", "model": "ich-triage", "lines": LINES})]
    assert "120 studies" in printed
    assert "40 present, 80 absent" in printed


def test_lists_schedules_runs_and_results(sent: Calls) -> None:
    assert "40+/80-" in run("list")
    assert "every 168 h" in run("schedule", "ref", "--every", "7d")
    run("schedule", "ref", "--every", "never")
    assert "version 2 reads 120 studies" in run("run", "ref")
    printed = run("results", "ref")
    assert "38/40" in printed
    assert "0.950" in printed
    assert "is deleted; it named 120 studies" in run("delete", "ref")
    assert sent == [
        ("GET", "/v1/truth-sets", None),
        ("PUT", "/v1/truth-sets/ref/schedule", {"every": "7d"}),
        ("PUT", "/v1/truth-sets/ref/schedule", {"every": None}),
        ("POST", "/v1/truth-sets/ref/runs", {}),
        ("GET", "/v1/truth-sets/ref/results", None),
        ("DELETE", "/v1/truth-sets/ref", None),
    ]


@pytest.mark.parametrize("arguments", [("list",), ("run", "ref"), ("results", "ref"), ("delete", "ref")])
def test_json_is_one_document(sent: Calls, arguments: tuple[str, ...]) -> None:
    assert json.loads(run(*arguments, "--json"))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "line 1: the columns"),
        ("study_uid,label\n1.2,present\n", "line 1: the columns"),
        (f"{HEADER.strip()},patient\n", "line 1: the columns"),
        (HEADER, "no study"),
        (f"{HEADER}1.2.840.1,pacs,,,present,pathology\n", "line 2: it has another number of cells"),
        (f"{HEADER}1.2.840.1,pacs,,,,pathology,lab\n", "line 2: label is missing"),
        (
            f"{HEADER}1.2.840.1,pacs,,,present,report,r\nMILLER^ANNA,pacs,,,present,report,r\n",
            "line 3: a UID",
        ),
        (f"{HEADER}1.2.840.1,pacs,x y,,present,report,r\n", "line 2: a UID"),
    ],
)
def test_a_bad_file_is_told_by_its_line_and_never_by_what_it_says(
    sent: Calls, tmp_path: Path, text: str, word: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(BadFile, match=word) as raised:
        read_set(path)
    assert "MILLER" not in str(raised.value)
    run("create", "ref", "--model", "ich", "--file", str(path), exit_code=1)
    assert sent == []


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="cannot be read"):
        read_set(tmp_path / "none.csv")
