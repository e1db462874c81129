"""`serinus truth`: what it reads of a file, what it sends, and that a refused line keeps no other from being told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from serve_apps.cli import truth as command
from serve_apps.cli.client import ApiAway, ApiClient, ApiError
from serve_apps.cli.main import app
from serve_apps.cli.truth_file import BadFile, read_truths

STUDY = "1.2.840.77"
LINE = {
    "study_uid": STUDY,
    "model": "ich-triage",
    "label": "present",
    "source": "report",
    "reader": "reader-7",
    "read_at": "2026-05-01T08:00:00Z",
}
BODY = {name: value for name, value in LINE.items() if name != "study_uid"}
CSV = "study_uid,model,label,source,reader,read_at,note\n" + ",".join([*LINE.values(), '"a, b"']) + "\n"
TOLD = {
    **BODY,
    "id": "t1",
    "finding": "1386000@SCT",
    "value": None,
    "unit": None,
    "received_at": "2026-05-02T06:00:00Z",
    "withdrawn_at": None,
    "in_force": True,
}
ANSWERS: Mapping[tuple[str, str], dict[str, Any]] = {
    ("GET", f"/v1/studies/{STUDY}/truth"): {"truths": [TOLD]},
    ("DELETE", f"/v1/studies/{STUDY}/truth/t1"): TOLD,
    ("GET", "/v1/adjudications/ich-triage?limit=50"): {
        "items": [
            {
                "id": "i1",
                "study_uid": STUDY,
                "meaning": "Intracranial hemorrhage",
                "open_since": "2026-05-01T08:00:00Z",
            }
        ],
        "workload": {"open": 1, "items_per_day": 35.2, "pairs_per_day": 400.0, "discordant_share": 0.04},
    },
    ("POST", "/v1/adjudications/items/i1"): {
        "truth": TOLD,
        "arms": {"B": {"version": "1", "label": "absent"}, "A": {"version": "2", "label": "present"}},
    },
}


class Api:
    """An API that refuses the truths of a version that it does not know."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Any]] = []
        self.is_away = False

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        if self.is_away:
            raise ApiAway("http://api")
        self.sent.append((method, path, body))
        if body is not None and body.get("model") == "nobody":
            raise ApiError("unknown-model", "no model of that name")
        return ANSWERS.get((method, path), {})


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api()

    def ask(method: str, path: str, as_json: bool, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return made.ask(method, path, body)

    monkeypatch.setattr(command, "ask", ask)
    monkeypatch.setattr(ApiClient, "of", lambda settings, actor: made)
    return made


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["truth", *arguments])
    assert done.exit_code == code, done.output
    return done.output


def in_file(folder: Path, text: str, name: str = "truths.jsonl") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_json_lines_are_read_and_empty_ones_passed_over(tmp_path: Path) -> None:
    (one,) = read_truths(in_file(tmp_path, f"\n{json.dumps(LINE)}\n\n"))
    assert (one.number, one.study_uid, one.body) == (2, STUDY, BODY)
    assert STUDY not in repr(one)


@pytest.mark.parametrize("before", ["", "\ufeff"], ids=["plain", "with a byte order mark"])
def test_a_table_is_read_and_an_empty_cell_is_left_out(tmp_path: Path, before: str) -> None:
    (one,) = read_truths(in_file(tmp_path, before + CSV.replace("present", ""), "truths.CSV"))
    expected = {name: value for name, value in BODY.items() if name != "label"}
    assert (one.number, one.study_uid, one.body) == (2, STUDY, expected | {"note": "a, b"})


def test_a_measured_value_of_a_table_is_a_number(tmp_path: Path) -> None:
    (one,) = read_truths(in_file(tmp_path, f"study_uid,value,unit\n{STUDY},12.5,ml\n", "t.csv"))
    assert one.body == {"value": 12.5, "unit": "ml"}


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("t.jsonl", "{", "line 1"),
        ("t.jsonl", f"{json.dumps(LINE)}\n[]", "line 2"),
        ("t.jsonl", json.dumps(LINE | {"study_uid": "1.02"}), "line 1"),
        ("t.jsonl", json.dumps(LINE | {"study_uid": 7}), "line 1"),
        ("t.csv", "", "line 1"),
        ("t.csv", CSV.replace("label", "patient"), "line 1"),
        ("t.csv", CSV.replace("model", "label"), "line 1"),
        ("t.csv", CSV.replace("study_uid,", "", 1), "line 1"),
        ("t.csv", CSV + "1.2,x\n", "line 3"),
        ("t.csv", CSV + ",".join(["1.2"] * 9) + "\n", "line 3"),
        ("t.csv", f"study_uid,value\n{STUDY},many\n", "line 2"),
        ("t.csv", CSV + 'a"b","c\n', "line 3"),
    ],
)
def test_a_file_that_is_no_table_of_truths_is_refused_by_its_line(
    tmp_path: Path, name: str, text: str, line: str
) -> None:
    with pytest.raises(BadFile, match=line) as told:
        read_truths(in_file(tmp_path, text, name))
    assert STUDY not in str(told.value)
    assert "reader-7" not in str(told.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("t.csv", "none.jsonl"):
        with pytest.raises(BadFile, match="cannot be read"):
            read_truths(tmp_path / name)


def test_a_file_is_told_line_by_line_for_the_orchestrators_tenant(tmp_path: Path, api: Api) -> None:
    printed = run("import", str(in_file(tmp_path, f"{json.dumps(LINE)}\n{json.dumps(LINE)}")))
    assert api.sent == [("POST", f"/v1/studies/{STUDY}/truth?tenant=orchestrator", BODY)] * 2
    assert "told 2 truths, refused 0" in printed


def test_a_line_that_is_refused_does_not_keep_the_others_from_being_told(tmp_path: Path, api: Api) -> None:
    bad = json.dumps(LINE | {"model": "nobody"})
    file = str(in_file(tmp_path, f"{bad}\n{json.dumps(LINE)}"))
    printed = run("import", file, "--tenant", "north", code=1)
    assert "line 1 no model of that name (unknown-model)" in printed
    assert "told 1 truths, refused 1" in printed
    assert "reader-7" not in printed
    assert STUDY not in printed
    document = json.loads(run("import", file, "--json", code=1))
    assert (document["told"], document["refused"][0]["code"]) == (1, "unknown-model")


def test_nothing_is_told_of_a_file_with_a_bad_line_or_of_an_api_that_is_away(
    tmp_path: Path, api: Api
) -> None:
    assert "line 2" in run("import", str(in_file(tmp_path, f"{json.dumps(LINE)}\n{{")), code=1)
    assert api.sent == []
    api.is_away = True
    assert "does not answer" in run("import", str(in_file(tmp_path, json.dumps(LINE))), code=1)


def test_the_truths_of_a_study_are_shown_and_withdrawn(api: Api) -> None:
    assert "reader-7" in run("show", STUDY)
    assert "truth t1 is withdrawn" in run("withdraw", STUDY, "t1")


def test_the_queue_shows_what_is_to_be_read_and_how_much_comes(api: Api) -> None:
    printed = run("queue", "ich-triage")
    assert STUDY in printed
    assert "1 open; 35.2 come each day of 400 that are compared" in printed


def test_an_answer_is_sent_and_the_arms_told_after_it(api: Api) -> None:
    printed = run("answer", "i1", "present", "--reader", "reader-7", "--note", "on slice 4")
    sent = {"label": "present", "reader": "reader-7", "note": "on slice 4"}
    assert api.sent == [("POST", "/v1/adjudications/items/i1", sent)]
    assert printed.index("A was version 2: present") < printed.index("B was version 1: absent")


def test_a_label_that_is_none_is_refused(api: Api) -> None:
    run("answer", "i1", "perhaps", "--reader", "r", code=2)
    assert api.sent == []
