"""`serinus rollout watch`: what it asks, what it tells of each change, and how it ends."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console
from rich.live import Live
from typer.testing import CliRunner

from canary.rollout.status import RolloutPhase
from serve_apps.cli import rollout_watch
from serve_apps.cli.client import ApiAway, ApiError
from serve_apps.cli.main import app
from serve_apps.cli.rollout_watch import JsonLines, Lines, Screen, Watch
from serve_apps.cli.rollout_words import gate_in_words
from tests.unit.shell.rollout_answers import APPROVING, CANARY, EVENTS, FAILED, PROMOTING, PROVING

AWAY = ApiAway("http://127.0.0.1:1")
REFUSED = ApiError("forbidden", "the key lacks the scope", 403)
BUSY = ApiError("ledger-unavailable", "the ledger does not answer", 503)
DONE = {**PROMOTING, "phase": "Completed", "reason": "version 2 is champion", "gate": None}
Told = Mapping[str, Any] | ApiError | BaseException


class Api:
    """Answers one after the other; `others` are the rollouts that its list holds."""

    def __init__(self, *answers: Told, others: tuple[Mapping[str, Any], ...] = ()) -> None:
        self.answers: Iterator[Told] = iter(answers)
        self.others = others
        self.asked: list[str] = []

    def __call__(self, path: str) -> Mapping[str, Any]:
        self.asked.append(path)
        if path == "/v1/rollouts":
            return {"rollouts": list(self.others)}
        told = next(self.answers)
        if isinstance(told, BaseException):
            raise told
        return told


class Seen:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def seen(self, answer: Mapping[str, Any]) -> None:
        self.told.append(f"{answer['run']} {answer['phase']}")

    def away(self, error: ApiError) -> None:
        self.told.append(error.code)


def followed(api: Api, show: Any = None) -> tuple[RolloutPhase, list[str], int]:
    """The end, what was told, and how often it waited."""
    seen, waits = show or Seen(), []
    phase = Watch(api, "chest ct", seen, lambda: waits.append(1)).run()
    return phase, getattr(seen, "told", []), len(waits)


def test_it_asks_for_the_model_until_the_rollout_has_ended() -> None:
    api = Api(PROVING, CANARY, DONE)
    assert followed(api) == (
        RolloutPhase.COMPLETED,
        ["1 Progressing", "1 Progressing", "1 Completed"],
        2,
    )
    assert api.asked == ["/v1/rollouts/chest%20ct"] * 3


@pytest.mark.parametrize("error", [AWAY, BUSY, ApiError("http", "the API answered 502", 502)])
def test_a_problem_that_passes_is_told_and_it_goes_on(error: ApiError) -> None:
    phase, told, waits = followed(Api(PROVING, error, error, FAILED))
    assert (phase, told) == (
        RolloutPhase.FAILED,
        ["1 Progressing", error.code, error.code, "1 Failed"],
    )
    assert waits == 3


def test_a_problem_that_does_not_pass_ends_it_and_so_does_any_at_the_first_look() -> None:
    with pytest.raises(ApiError, match="scope"):
        followed(Api(PROVING, REFUSED))
    with pytest.raises(ApiAway):
        followed(Api(AWAY))


def test_the_end_of_the_run_is_seen_when_the_api_tells_of_another_one_by_then() -> None:
    """As where an earlier version is still watched after its promotion: that rollout is the one under way again."""
    ended = {**FAILED, "run": 4, "reason": "sensitivity failed"}
    api = Api({**CANARY, "run": 4}, {**PROVING, "run": 3}, others=({**PROVING, "run": 3}, ended))
    phase, told, _ = followed(api)
    assert (phase, told) == (RolloutPhase.FAILED, ["4 Progressing", "4 Failed"])


def test_a_run_that_was_begun_anew_is_followed() -> None:
    again = {**PROVING, "run": 2}
    phase, told, _ = followed(Api(CANARY, again, {**FAILED, "run": 2}, others=(again,)))
    assert (phase, told) == (RolloutPhase.FAILED, ["1 Progressing", "2 Progressing", "2 Failed"])


# ---- lines


def lines_of(*answers: Mapping[str, Any] | ApiError) -> list[str]:
    said: list[str] = []
    show = Lines(said.append, lambda: datetime(2026, 6, 9, 12, tzinfo=UTC))
    for one in answers:
        if isinstance(one, ApiError):
            show.away(one)
        else:
            show.seen(one)
    return said


def test_one_line_is_told_for_each_change_and_none_without() -> None:
    said = lines_of(APPROVING, APPROVING, CANARY, CANARY)
    assert said == [
        "2026-06-09T12:00:00Z run 1 Progressing step 2 of 7 0 % waits for the approval of quality",
        "2026-06-09T12:00:00Z run 1 Progressing step 4 of 7 5 % waits for studies: 7 of 10 in this step",
    ]


def test_events_that_came_since_the_last_look_are_told_with_their_time_oldest_first() -> None:
    older = {**CANARY, "events": CANARY["events"][1:]}
    newest = {**CANARY["events"][0], "number": 4, "at": "2026-06-02T08:00:00Z", "reason": "a\x1b[2J\nb"}
    said = lines_of(older, {**CANARY, "events": [newest, *CANARY["events"]]})
    assert [line[:20] for line in said] == [
        "2026-06-09T12:00:00Z",
        "2026-06-02T03:00:00Z",
        "2026-06-02T08:00:00Z",
    ]
    assert said[1].endswith(f"rollout: {EVENTS[0].reason}")
    assert all(line.isprintable() for line in said)


def test_events_of_a_new_run_are_all_told() -> None:
    again = {**PROVING, "run": 2}
    assert len(lines_of(CANARY, again)) == 1 + len(EVENTS) + 1


def test_lines_say_once_that_the_api_is_away_and_once_that_it_answers_again() -> None:
    said = [line[21:] for line in lines_of(APPROVING, AWAY, AWAY, APPROVING)]
    assert said[1:] == [f"it goes on asking: {AWAY}", "the API answers again"]


# ---- JSON lines


def json_lines_of(*answers: Mapping[str, Any] | ApiError) -> list[Any]:
    said: list[str] = []
    show = JsonLines(said.append)
    for one in answers:
        if isinstance(one, ApiError):
            show.away(one)
        else:
            show.seen(one)
    assert all("\n" not in line for line in said)
    return [json.loads(line) for line in said]


def test_a_document_is_told_for_each_change_and_not_for_a_date_that_moved() -> None:
    moved = {**CANARY, "studies_per_day": 401.0, "expected": {**CANARY["expected"], "step": {"at": None}}}
    assert json_lines_of(PROVING, CANARY, moved, DONE) == [PROVING, CANARY, DONE]


def test_json_says_once_that_the_api_is_away_and_then_how_things_stand() -> None:
    told = json_lines_of(CANARY, AWAY, AWAY, CANARY)
    assert told == [CANARY, {"error": {"code": "api-away", "detail": AWAY.detail}}, CANARY]


# ---- the terminal


def test_the_screen_shows_the_last_answer_and_says_since_when_the_api_is_away() -> None:
    console = Console(width=100, height=60, file=io.StringIO(), force_terminal=True, color_system=None)
    with Live(console=console, auto_refresh=False) as live:
        show = Screen(live, console, lambda: datetime(2026, 6, 9, 12, tzinfo=UTC))
        show.seen(APPROVING)
        show.away(AWAY)
        show.seen(CANARY)
    assert isinstance(console.file, io.StringIO)
    told = console.file.getvalue()
    first, note, last = (
        told.index(one)
        for one in (
            "waits for the approval of quality",
            "! as of 12:00:00 UTC, and asked again: the API at",
            "7 of 10",
        )
    )
    assert first < note < last


# ---- the command


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The command against an API that tells this, and does not wait."""

    def run(*answers: Told, flags: tuple[str, ...] = ()) -> Any:
        api = Api(*answers)
        monkeypatch.setattr(rollout_watch, "asking", lambda: api)
        monkeypatch.setattr(rollout_watch.time, "sleep", lambda _: None)
        return CliRunner().invoke(app, ["rollout", "watch", "chest-ct", *flags])

    return run


def test_it_ends_with_0_at_the_end_and_with_1_at_a_failure(watched: Callable[..., Any]) -> None:
    assert watched(CANARY, DONE).exit_code == 0
    assert watched(CANARY, {**DONE, "phase": "Superseded"}).exit_code == 0
    failed = watched(CANARY, FAILED)
    assert failed.exit_code == 1
    assert "Failed" in failed.output.splitlines()[-1]
    assert "error" not in failed.output


def test_json_is_a_document_in_each_line(watched: Callable[..., Any]) -> None:
    done = watched(CANARY, DONE, flags=("--json",))
    assert [json.loads(line)["phase"] for line in done.output.splitlines()] == ["Progressing", "Completed"]


def test_ctrl_c_leaves_without_a_trace(watched: Callable[..., Any]) -> None:
    done = watched(CANARY, KeyboardInterrupt())
    assert done.exit_code == 130
    assert len(done.output.splitlines()) == 1


def test_a_model_without_a_rollout_is_refused_with_the_reason(watched: Callable[..., Any]) -> None:
    missing = ApiError("rollout-not-found", "no rollout of that model was ever started", 404)
    done = watched(missing, flags=("--json",))
    assert done.exit_code == 1
    assert json.loads(done.output)["error"]["code"] == "rollout-not-found"


# ---- words


@pytest.mark.parametrize(
    ("gate", "told"),
    [
        ({"kind": "approval", "roles": [], "people": 2}, "the approval of 2 more people"),
        ({"kind": "evidence"}, "the next look: its evidence is there"),
        ({"kind": "time"}, "its time"),
        (
            {"kind": "time", "until": "2026-06-01T12:00:00Z", "metrics": ["a"]},
            "the time, until 2026-06-01 12:00 UTC, then evidence of a",
        ),
        ({"kind": "routers"}, "the routers, until what is asked is in force"),
        ({"kind": "way-back"}, "the way back, until the candidate answers nobody"),
        ({"kind": "of-a-newer-api"}, "of-a-newer-api"),
    ],
)
def test_a_gate_is_told_in_words(gate: dict[str, Any], told: str) -> None:
    whole = {"roles": [], "people": 0, "studies": 0, "studies_needed": 0, "metrics": [], "until": None}
    assert gate_in_words(whole | gate) == told
