"""The wire of replays: what a person asks for, and how far it has come."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from ledger import ReplayState
from serve_apps.api.schemas import IsoTime, Name, Wire
from serve_apps.application.replay import MOST_STUDIES


class ReplayIn(Wire):
    """Have a version read in silence what the champion has answered."""

    model: Name
    candidate: Name = Field(description="the version that is to read")
    last: int = Field(default=500, ge=1, le=MOST_STUDIES, description="patients, each by the newest study")
    since: IsoTime | None = Field(default=None, description="nothing that was answered before")


class ReplayOut(Wire):
    """How a replay stands. Its window holds `studies` of different patients; `known` of them were left out, since the
    candidate was given the study before, or was compared with the champion on the patient.
    """

    id: str
    state: ReplayState
    model: str
    champion: str
    candidate: str
    last: int
    since: datetime | None = None
    actor: str
    at: datetime
    run: int | None = Field(
        default=None,
        description="the rollout's run whose evidence its pairs are; without one they are no rollout's",
    )
    studies: int | None = None
    known: int | None = None
    asked: int | None = None
    waiting: int
    done: int
    failed: dict[str, int] = Field(description="by the code of the error")
    canceled_at: datetime | None = None
    taken_back: int = Field(description="of those asked for, untouched when it was cancelled")
    reason: str = Field(default="", description="why nobody reads what waits")


class ReplaysOut(Wire):
    """The newest first."""

    replays: tuple[ReplayOut, ...]
