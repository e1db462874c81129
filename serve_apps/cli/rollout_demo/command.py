"""`rollout demo`: three versions, three endings, on the running stack."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.live import Live

from serve_apps.cli.client import ApiError
from serve_apps.cli.output import Say, out
from serve_apps.cli.rollout_demo.acts import BETTER, WORSE, broken
from serve_apps.cli.rollout_demo.flow import Flow
from serve_apps.cli.rollout_demo.play import Play, Played
from serve_apps.cli.rollout_demo.site import RunningSite, phantoms
from serve_apps.cli.rollout_evidence import write_pack
from serve_apps.cli.rollout_view import rollout_view
from serve_apps.embedded.demo_models import broken_build
from serve_apps.settings import Settings

CALLERS: Final = 4
FOLDER: Final = "rollout-demo"  # of the state folder; the evidence packs lie there
RECALL_S: Final = 30.0  # how long the champion is given to read the recalled studies
Json = Mapping[str, Any]


def play_demo(settings: Settings, first: int | None, say: Say) -> tuple[list[Played], Path]:
    """Play all acts; returns how they ended, and the page of the last one's evidence.

    `first` is the number of the first phantom: others than before are new patients. Raises ApiError, and ApiAway
    where nothing runs.
    """
    site, folder = RunningSite(settings), settings.state_dir / FOLDER
    site.require_research()
    acts = (BETTER, WORSE, broken(broken_build(settings, say)))
    number = int(time.time()) if first is None else first
    say(f"phantoms from number {number} on, from {CALLERS} callers")
    played, page = [], folder
    with Flow(site, phantoms(number), CALLERS) as flow, showing() as show:
        play = Play(site, flow.tally, show)
        play.begin()
        for act_number, act in enumerate(acts, 1):
            say(f"act {act_number}: {act.title}")
            played.append(play.act(act))
            say(in_words(played[-1]))
            page = write_pack(site.pack(played[-1].rollout["run"]), folder)[1]
            say(f"  its evidence: {page}")
    say(recalled(site, played[-1].rollout["run"]))
    return played, page


@contextmanager
def showing() -> Iterator[Callable[[Json], None]]:
    """On a terminal a live view of each answer; without one nothing, since what is said stands in lines."""
    if not out.is_terminal:
        yield lambda answer: None
        return
    with Live(console=out, auto_refresh=False, transient=True) as live:
        yield lambda answer: live.update(rollout_view(answer, out.width), refresh=True)


def in_words(played: Played) -> str:
    """How an act ended, in two lines."""
    rollout, tally = played.rollout, played.tally
    ending = "promoted" if played.is_promoted else rollout["phase"]
    answered = ", ".join(
        f"{number} by version {version}" for version, number in sorted(tally.answered.items())
    )
    failed = f"; {tally.failed.total()} failed" if tally.failed else "; none failed"
    return (
        f"  {ending} after {played.seconds:.0f} s: {rollout['reason']}\n"
        f"  {tally.studies} studies were read: {answered}{failed}"
    )


def recalled(site: RunningSite, run: int) -> str:
    """What the recall of a withdrawn version found, once the champion has read its studies again."""
    deadline = time.monotonic() + RECALL_S
    while True:
        try:
            summary = site.recall(run)["summary"]
        except ApiError as error:
            if error.code != "recall-not-found" or time.monotonic() > deadline:
                return f"  no recall list: {error}"
        else:
            if not summary["pending"] or time.monotonic() > deadline:
                return in_recall_words(summary)
        time.sleep(1.0)


def in_recall_words(summary: Json) -> str:
    differing = ", ".join(f"{number} {name}" for name, number in summary["by_difference"].items() if number)
    return (
        f"  recall: {summary['studies']} studies were answered by it, {summary['to_look_now']} to look at now"
        f" ({differing or 'none read again yet'}; {summary['pending']} still to read)"
    )
