"""What docs/truth.md shows is taken as it says: its examples are sent, and its tables are the code's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx

from canary.adjudication import workload
from canary.truth import TruthLabel, TruthSource
from serve_apps.api.truth_schemas import TruthIn
from serve_apps.cli.truth_file import COLUMNS, read_truths
from serve_apps.settings import Settings
from tests.unit.shell.site import STUDY

TEXT = (Path(__file__).parents[3] / "docs/truth.md").read_text()


def block(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


async def test_the_one_truth_of_the_page_is_taken(http: httpx.AsyncClient) -> None:
    answer = await http.post(f"/v1/studies/{STUDY}/truth", json=json.loads(block("json")))
    assert (answer.status_code, answer.json()["in_force"]) == (201, True), answer.text


async def test_the_file_of_the_page_is_taken_may_be_sent_again_and_its_pathology_counts(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    file = tmp_path / "truths.csv"
    file.write_text(block("csv"))
    lines = read_truths(file)
    for expected in (201, 200):
        for line in lines:
            answer = await http.post(f"/v1/studies/{line.study_uid}/truth", json=line.body)
            assert answer.status_code == expected, answer.text
    told = (await http.get(f"/v1/studies/{lines[0].study_uid}/truth")).json()["truths"]
    assert [(truth["source"], truth["in_force"]) for truth in told] == [
        ("report", False),
        ("pathology", True),
    ]


async def test_a_line_of_json_is_the_object_of_the_page_with_its_study(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    file = tmp_path / "truths.jsonl"
    file.write_text(json.dumps({"study_uid": STUDY, **json.loads(block("json"))}))
    (line,) = read_truths(file)
    assert line.body == json.loads(block("json"))
    assert (await http.post(f"/v1/studies/{line.study_uid}/truth", json=line.body)).status_code == 201


def test_the_ranks_of_the_page_are_those_of_the_code() -> None:
    assert re.findall(r"^\| \d \| `([a-z-]+)` \|", TEXT, re.MULTILINE) == list(TruthSource)


def test_the_fields_of_the_page_are_those_of_the_wire_and_of_a_file() -> None:
    table = TEXT.partition("| field | |")[2].partition("\n\n")[0]
    named = {name for row in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE) for name in row.split(", ")}
    fields = {name.strip("`") for name in named} - {"---"}
    assert fields == TruthIn.model_fields.keys() == set(COLUMNS) - {"study_uid"}
    assert all(f"`{label}`" in TEXT for label in TruthLabel)


def test_the_work_of_the_page_is_what_is_forecast() -> None:
    share = Settings.model_fields["adjudicate_concordant"].default
    work = workload(pairs=400, discordant=40, days=1, concordant_share=share, open_items=0)
    assert f"5 % of the other 360: {work.items_per_day:.0f} a day" in TEXT
