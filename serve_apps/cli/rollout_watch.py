"""`rollout watch`: follows one rollout until it has ended, on a terminal, as lines, or as JSON lines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Protocol
from urllib.parse import quote

import typer
from rich.console import Console
from rich.live import Live

from canary.rollout.status import ENDED, RolloutPhase
from serve_apps.cli.client import ApiAway, ApiClient, ApiError
from serve_apps.cli.output import fail, out
from serve_apps.cli.rollout_view import rollout_view
from serve_apps.cli.rollout_words import event_line, plain, state_line
from serve_apps.settings import load_settings

Document = Mapping[str, Any]
Ask = Callable[[str], Document]
INTERRUPTED: Final = 130  # as a shell tells of Ctrl-C: whoever waits for the end has not seen it
TIMEOUT_S: Final = 10.0
RESTLESS: Final = ("expected", "studies_per_day")  # differ at each look without anything having happened


class Show(Protocol):
    """Where a watch tells what it sees."""

    def seen(self, answer: Document) -> None: ...
    def away(self, error: ApiError) -> None: ...


class Watch:
    """Asks for a model's rollout again and again. `wait` lets the interval pass."""

    def __init__(self, ask: Ask, model: str, show: Show, wait: Callable[[], None]) -> None:
        self._ask = ask
        self._model = model
        self._show = show
        self._wait = wait
        self._last: Document | None = None

    def run(self) -> RolloutPhase:
        """Follow the rollout that stands first until its end; the phase in which it ended.

        A problem that passes is told, and it goes on; ApiError for any other, and for the first answer.
        """
        while True:
            try:
                answer = self._followed(self._ask(f"/v1/rollouts/{quote(self._model, safe='')}"))
            except ApiError as error:
                if self._last is None or not is_passing(error):
                    raise
                self._show.away(error)
            else:
                self._last = answer
                self._show.seen(answer)
                if (phase := RolloutPhase(answer["phase"])) in ENDED:
                    return phase
            self._wait()

    def _followed(self, answer: Document) -> Document:
        """The answer about the run that is watched: once that has ended, the API may tell of another one."""
        last = self._last
        if last is None or answer["run"] == last["run"]:
            return answer
        for one in self._ask("/v1/rollouts")["rollouts"]:
            if (one["model"], one["run"]) == (last["model"], last["run"]) and one["phase"] in ENDED:
                return {**last, "gate": None, "next_gate": None, **one}
        return answer


def is_passing(error: ApiError) -> bool:
    """Whether the same question may be answered in a moment."""
    return isinstance(error, ApiAway) or error.status in (408, 429) or error.status >= 500


class Lines:
    """One line for each change, with the time at which it was seen or, of an event, happened."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], datetime]) -> None:
        self._say = say
        self._clock = clock
        self._state = ""
        self._number: int | None = None
        self._run: int | None = None
        self._is_away = False

    def seen(self, answer: Document) -> None:
        if self._is_away:
            self._tell("the API answers again")
            self._is_away = False
        for event in self._new_events(answer):
            at = datetime.fromisoformat(event["at"]).astimezone(UTC)
            self._say(f"{at:%Y-%m-%dT%H:%M:%SZ} {event_line(answer, event)}")
        if (state := state_line(answer)) != self._state:
            self._tell(state)
            self._state = state

    def away(self, error: ApiError) -> None:
        if not self._is_away:
            self._tell(f"it goes on asking: {plain(error)}")
        self._is_away = True

    def _new_events(self, answer: Document) -> list[Document]:
        """Oldest first; none at the first look, which begins with how things stand."""
        events = answer["events"]
        if self._run != answer["run"]:
            before = None if self._run is None else 0
            self._run, self._number = answer["run"], before
        known = self._number
        self._number = max((event["number"] for event in events), default=known or 0)
        return [] if known is None else [one for one in reversed(events) if one["number"] > known]

    def _tell(self, text: str) -> None:
        self._say(f"{self._clock():%Y-%m-%dT%H:%M:%SZ} {text}")


class JsonLines:
    """The whole answer for each change, in one line; once `{"error": …}` while the API is away."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._last: Document | None = None
        self._is_away = False

    def seen(self, answer: Document) -> None:
        settled = {name: value for name, value in answer.items() if name not in RESTLESS}
        if settled != self._last or self._is_away:
            self._say(json.dumps(answer))
        self._last, self._is_away = settled, False

    def away(self, error: ApiError) -> None:
        if not self._is_away:
            self._say(json.dumps({"error": {"code": error.code, "detail": error.detail}}))
        self._is_away = True


class Screen:
    """A live view of the last answer. While the API is away it says so and since when."""

    def __init__(self, live: Live, console: Console, clock: Callable[[], datetime]) -> None:
        self._live = live
        self._console = console
        self._clock = clock
        self._answer: Document | None = None
        self._at = clock()

    def seen(self, answer: Document) -> None:
        self._answer, self._at = answer, self._clock()
        self._live.update(rollout_view(answer, self._console.width), refresh=True)

    def away(self, error: ApiError) -> None:
        if self._answer is not None:
            note = f"as of {self._at:%H:%M:%S} UTC, and asked again: {error}"
            self._live.update(rollout_view(self._answer, self._console.width, note), refresh=True)


def watch(
    model: Annotated[str, typer.Argument(help="The registered model in MLflow.")],
    interval: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between two looks.")] = 1.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document for each change, in a line each.")
    ] = False,
) -> None:
    """Follow a rollout until it has ended: live on a terminal, one line for each change without one.

    Exit code 0 at its end, 1 if it failed, 130 after Ctrl-C.
    """
    try:
        phase = _watched(asking(), model, lambda: time.sleep(interval), as_json)
    except ApiError as error:
        fail(str(error), as_json, error.code)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(1 if phase is RolloutPhase.FAILED else 0)


def asking() -> Ask:
    """A client of this folder's stack. Raises ApiAway where there is none."""
    client = ApiClient.of(load_settings(), timeout_s=TIMEOUT_S)
    return lambda path: client.ask("GET", path)


def _watched(ask: Ask, model: str, wait: Callable[[], None], as_json: bool) -> RolloutPhase:
    live: AbstractContextManager[object] = nullcontext()
    show: Show
    if as_json:
        show = JsonLines(_say)
    elif not out.is_terminal:
        show = Lines(_say, _now)
    else:
        live = screen = Live(console=out, auto_refresh=False)
        show = Screen(screen, out, _now)
    with live:
        return Watch(ask, model, show, wait).run()


def _say(line: str) -> None:
    """At once: whoever reads a pipe waits for it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _now() -> datetime:
    return datetime.now(UTC)
