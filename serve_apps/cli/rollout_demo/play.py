"""Plays the acts of the rollout demo on a running stack, and tells how each ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from canary.rollout.status import RolloutPhase
from serve_apps.cli.client import ApiError
from serve_apps.cli.rollout_demo.acts import ROLES, STABLE, Act
from serve_apps.cli.rollout_demo.flow import Tally

REFUSED: Final = "rollout-refused"
LOOK_S: Final = 0.5
LONGEST_ACT_S: Final = 240.0
Json = Mapping[str, Any]


class Stage(Protocol):
    """The stack and its people. Every method raises ApiError."""

    def set_alias(self, alias: str, version: str) -> None: ...
    def champion(self) -> str | None: ...
    def wait_until_warm(self, version: str) -> None: ...
    def start(self, spec: str) -> Json: ...
    def abort(self) -> None: ...
    def rollout(self, run: int) -> Json: ...
    def approve(self, role: str, person: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Played:
    """How an act ended: the last that the API told of its rollout, and what callers got meanwhile."""

    act: Act
    rollout: Json
    tally: Tally
    seconds: float

    @property
    def version_answered(self) -> int:
        """Studies that the candidate answered."""
        return self.tally.answered[self.act.candidate]

    @property
    def told(self) -> Json:
        """As a document."""
        return {
            "candidate": self.act.candidate,
            "run": self.rollout["run"],
            "phase": self.rollout["phase"],
            "promoted": self.is_promoted,
            "reason": self.rollout["reason"],
            "seconds": round(self.seconds, 1),
            "answered": dict(self.tally.answered),
            "failed": dict(self.tally.failed),
        }

    @property
    def faults(self) -> tuple[str, ...]:
        """Where it did not end as the story says, a sentence each."""
        phase, found = self.rollout["phase"], []
        if phase not in self.act.ends and not (
            self.is_promoted and RolloutPhase.SURVEILLING in self.act.ends
        ):
            found.append(f"the rollout is {phase} after {self.seconds:.0f} s: {self.rollout['reason']}")
        if self.act.exposes != (self.version_answered > 0):
            found.append(f"version {self.act.candidate} answered {self.version_answered} studies")
        found += [f"{number} studies got {code}" for code, number in self.tally.failed.items()]
        return tuple(found)

    @property
    def is_promoted(self) -> bool:
        return self.rollout["promoted_at"] is not None


class Play:
    """One act after the other. `show` draws what the API tells at each look; `tally` counts the callers' studies."""

    def __init__(
        self,
        stage: Stage,
        tally: Callable[[], Tally],
        show: Callable[[Json], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        longest_s: float = LONGEST_ACT_S,
    ) -> None:
        """An act that has not ended after `longest_s` is given up."""
        self._stage = stage
        self._tally = tally
        self._show = show
        self._clock = clock
        self._sleep = sleep
        self._longest_s = longest_s

    def begin(self) -> None:
        """Version 1 is champion, as before any act."""
        if self._stage.champion() != STABLE:
            self._stage.set_alias("champion", STABLE)
            self._stage.wait_until_warm(STABLE)

    def act(self, act: Act) -> Played:
        """Play one act to its end, or until it has taken too long. Raises ApiError."""
        self._stage.set_alias("challenger", act.candidate)
        self._stage.wait_until_warm(act.candidate)
        before, began = self._tally(), self._clock()
        rollout = self._started(act.spec)
        while not has_ended(rollout) and self._clock() - began < self._longest_s:
            self._show(rollout)
            self._approve(rollout)
            self._sleep(LOOK_S)
            rollout = self._stage.rollout(rollout["run"])
        self._show(rollout)
        return Played(act, rollout, self._tally().minus(before), self._clock() - began)

    def _started(self, spec: str) -> Json:
        """The act's rollout. One that an earlier demo left under way by another plan is ended first."""
        try:
            return self._stage.start(spec)
        except ApiError as error:
            if error.code != REFUSED:
                raise
        self._stage.abort()
        return self._stage.start(spec)

    def _approve(self, rollout: Json) -> None:
        """Whoever is missing approves; that the step has ended meanwhile is no fault."""
        for role in roles_missing(rollout):
            try:
                self._stage.approve(role, ROLES[role])
            except ApiError as error:
                if error.code != REFUSED:
                    raise


def has_ended(rollout: Json) -> bool:
    """Whether it decided: the former champion's last studies are not waited for."""
    ended = (RolloutPhase.FAILED, RolloutPhase.SUPERSEDED, RolloutPhase.COMPLETED, RolloutPhase.PAUSED)
    return rollout["promoted_at"] is not None or rollout["phase"] in ended


def roles_missing(rollout: Json) -> Iterable[str]:
    """In which roles the step under way still waits for somebody."""
    gate = rollout["gate"]
    return () if gate is None else tuple(role for role in gate["roles"] if role in ROLES)
