"""The three acts of the rollout demo: which version is the challenger, by which plan, and how it has to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final

from canary.rollout.status import RolloutPhase

MODEL: Final = "ich-triage"
STABLE: Final = "1"  # the champion when the demo begins
ROLES: Final[Mapping[str, str]] = {"radiologist": "demo-radiologist", "quality": "demo-quality"}
"""Who approves in which role; a rollout counts a person once."""


@dataclass(frozen=True, slots=True)
class Act:
    """One rollout. `plan` is a file beside this module; `ends` are the phases that the story asks for."""

    title: str
    candidate: str
    plan: str
    ends: frozenset[RolloutPhase]
    exposes: bool

    @property
    def spec(self) -> str:
        """The text of its file."""
        return resources.files(__package__).joinpath(self.plan).read_text()


BETTER, WORSE = (
    Act(
        title="version 2 finds bleeds along the skull that version 1 misses: it earns its promotion",
        candidate="2",
        plan="better.yaml",
        ends=frozenset({RolloutPhase.SURVEILLING, RolloutPhase.COMPLETED}),
        exposes=True,
    ),
    Act(
        title="version 3 raises false alarms on thin slices: it is stopped in the shadow, before any patient",
        candidate="3",
        plan="worse.yaml",
        ends=frozenset({RolloutPhase.FAILED, RolloutPhase.PAUSED}),  # whichever its bad stratum shows first
        exposes=False,
    ),
)


def broken(version: str) -> Act:
    """The last act: which number the registry gave the broken build is known once it is there."""
    return Act(
        title=f"version {version} is a broken build: it goes back from its canary, and no study is lost",
        candidate=version,
        plan="broken.yaml",
        ends=frozenset({RolloutPhase.FAILED}),
        exposes=True,
    )
