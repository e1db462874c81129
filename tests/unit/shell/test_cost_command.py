"""`serinus cost report`: what it asks for, the table, and that a wrong sum is an error."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from serve_apps.api.examples import BY_SCHEMA
from serve_apps.cli import cost as command
from serve_apps.cli.main import app

ONE = BY_SCHEMA["CostReportOut"]


class Api:
    """Answers with one report."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = dict(ONE)
        self.asked: dict[str, list[str]] = {}

    def ask(self, method: str, path: str, as_json: bool) -> dict[str, Any]:
        parts = urlsplit(path)
        assert (method, parts.path) == ("GET", "/v1/costs")
        self.asked = parse_qs(parts.query)
        return self.answer


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    stands = Api()
    monkeypatch.setattr(command, "ask", stands.ask)
    return stands


def run(*arguments: str, exit_code: int = 0) -> str:
    done = CliRunner().invoke(app, ["cost", "report", *arguments])
    assert done.exit_code == exit_code, done.output
    return done.output


def test_the_table_tells_every_line_the_bill_the_sum_and_that_they_agree(api: Api) -> None:
    told = run()
    for word in ("primary", "shadow", "review", "egress", "idle, load, drain", "per delivered", "0.101998"):
        assert word in told
    assert "bill 4.158900000 (cpu-core 0.158000, egress-gb 0.000900, reader-minute 4.000000)" in told
    assert "sum of the rows 4.158900000: they agree" in told
    assert "40 studies delivered, 0.103972500 each" in told
    assert api.asked["by"] == ["model", "version"]


def test_a_sum_that_is_not_the_bill_is_an_error(api: Api) -> None:
    api.answer |= {"agrees": False, "booked": "4.158900001"}
    assert "THEY DO NOT AGREE" in run(exit_code=1)
    assert json.loads(run("--json", exit_code=1))["agrees"] is False


def test_what_waits_for_a_budget_is_told_with_its_reason(api: Api) -> None:
    told = run()
    assert "waits until 2026-05-02T00:00: replay of ich-triage" in told
    assert "would pass the budget site-daily of a day" in told
    api.answer |= {"waits": []}
    assert "waits until" not in run()


def test_nothing_delivered_and_nothing_priced_is_said_in_words(api: Api) -> None:
    api.answer |= {
        "rows": [],
        "bill": {},
        "per_delivered": None,
        "delivered": 0,
        "unpriced": ["gpu", "ram-gib"],
    }
    told = run()
    assert "no study was delivered" in told
    assert "not in the bill: gpu, ram-gib" in told


@pytest.mark.parametrize(
    ("text", "ago"), [("7d", timedelta(days=7)), ("12h", timedelta(hours=12)), ("1d", timedelta(days=1))]
)
def test_a_span_counts_back_from_now(api: Api, text: str, ago: timedelta) -> None:
    run("--since", text, "--by", "line, site", "--idle", "uniform")
    since = datetime.fromisoformat(api.asked["since"][0])
    assert abs(datetime.now(UTC) - ago - since) < timedelta(minutes=1)
    assert (api.asked["by"], api.asked["idle"]) == (["line", "site"], ["uniform"])


def test_a_date_is_sent_as_a_time_with_its_zone(api: Api) -> None:
    run("--since", "2026-05-01", "--until", "2026-05-02T08:00:00+02:00")
    assert datetime.fromisoformat(api.asked["since"][0]).tzinfo is not None
    assert datetime.fromisoformat(api.asked["until"][0]) == datetime(2026, 5, 2, 6, tzinfo=UTC)
    assert "write a span as 7d" in run("--since", "yesterday", exit_code=1)


def test_json_is_one_document(api: Api) -> None:
    assert json.loads(run("--json")) == ONE
