"""`rollout demo`: three versions, three endings, on the running stack."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from rich.live import Live

from serve_apps.cli.output import Say, out
from serve_apps.cli.rollout_demo.acts import ACTS, MODEL
from serve_apps.cli.rollout_demo.flow import Flow
from serve_apps.cli.rollout_demo.play import Play, Played
from serve_apps.cli.rollout_demo.site import RunningSite, phantoms
from serve_apps.cli.rollout_view import rollout_view
from serve_apps.embedded.demo_models import register_missing_demo_versions
from serve_apps.settings import Settings

CALLERS: Final = 4
Json = Mapping[str, Any]


def play_demo(settings: Settings, first: int | None, say: Say) -> list[Played]:
    """Play all acts. `first` is the number of the first phantom: others than before are new patients.

    Raises ApiError, and ApiAway where nothing runs.
    """
    register_missing_demo_versions(settings, MODEL, [act.candidate for act in ACTS], say)
    site = RunningSite(settings)
    patients = phantoms(int(time.time()) if first is None else first)
    played = []
    with Flow(site, patients, CALLERS) as flow, showing() as show:
        play = Play(site, flow.tally, show)
        play.begin()
        for number, act in enumerate(ACTS, 1):
            say(f"act {number}: {act.title}")
            played.append(play.act(act))
            say(in_words(played[-1]))
    return played


@contextmanager
def showing() -> Iterator[Callable[[Json], None]]:
    """On a terminal a live view of each answer; without one nothing, since what is said stands in lines."""
    if not out.is_terminal:
        yield lambda answer: None
        return
    with Live(console=out, auto_refresh=False, transient=True) as live:
        yield lambda answer: live.update(rollout_view(answer, out.width), refresh=True)


def in_words(played: Played) -> str:
    """How an act ended, in a line or two."""
    rollout, tally = played.rollout, played.tally
    ending = "promoted" if played.is_promoted else rollout["phase"]
    answered = ", ".join(f"version {version} {number}" for version, number in sorted(tally.answered.items()))
    failed = f"; {tally.failed.total()} failed" if tally.failed else "; none failed"
    return (
        f"  {ending} after {played.seconds:.0f} s: {rollout['reason']}\n"
        f"  {tally.studies} studies were read: {answered}{failed}"
    )
