"""Where a rollout stands: its phase, its step, since when, what it grants, and why. The ledger keeps it.

Progressing ─► Promoting ─► Surveilling ─► Completed        Superseded: the aliases moved on without it
   │  ▲            │             │
   ▼  │ resume     ▼             ▼                          A silent trial goes from Progressing to Completed.
 Paused ─────► RollingBack ─► Failed        (retry, by a person, begins a new run)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from canary.routing_table import BASIS_POINTS


class RolloutPhase(StrEnum):
    PROGRESSING = "Progressing"
    PAUSED = "Paused"  # a person resumes it
    PROMOTING = "Promoting"
    SURVEILLING = "Surveilling"  # promoted, and watched with late truth
    ROLLING_BACK = "RollingBack"
    FAILED = "Failed"
    SUPERSEDED = "Superseded"
    COMPLETED = "Completed"


ENDED: Final = frozenset({RolloutPhase.FAILED, RolloutPhase.SUPERSEDED, RolloutPhase.COMPLETED})
HOLDS: Final = "holds: "  # what a reason begins with while something keeps the rollout from moving on
WITHOUT_WEIGHT: Final = ENDED | {RolloutPhase.ROLLING_BACK, RolloutPhase.SURVEILLING}


class PauseCause(StrEnum):
    PERSON = "person"
    INCONCLUSIVE = "inconclusive"
    DEADLINE = "deadline"
    BY_HAND = "by-hand"  # somebody set the weight
    SAMPLE_RATIO = "sample-ratio"
    PLAN_CHANGED = "plan-changed"
    REOPENED = "reopened"  # late truth spoke against a promotion that is too old to go back by itself


class ConditionKind(StrEnum):
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    SHADOW_READY = "ShadowReady"
    DATA_PLANE_VERIFIED = "DataPlaneVerified"
    EVIDENCE_SUFFICIENT = "EvidenceSufficient"
    SAMPLE_RATIO_OK = "SampleRatioOK"
    APPROVAL_GRANTED = "ApprovalGranted"
    BUDGET_OK = "BudgetOK"
    DEGRADED = "Degraded"
    COMPLETED = "Completed"


@dataclass(frozen=True, slots=True)
class RolloutCondition:
    """`reason` is empty where there is nothing to say."""

    kind: ConditionKind
    holds: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStatus:
    """One run of a rollout. Raises ValueError for a state that may not be.

    `run` counts the rollouts of the model; evidence and approvals belong to one run. `step` is the number of the one
    under way, from 0; when all are done, it is their number. `progressed_at`: when a step was last done, or a person
    resumed. `weight_bp` and `mirror_bp` are what it grants. `acknowledged` are the causes that a person resumed in
    this step. `hand_seen` is the last decision by hand that it knows. `blind_since`: nothing is known of the evidence
    since then. `confirmed_at`: a gate let the first step begin. `promotion_began`: the alias may have moved;
    `promoted_at`: it was seen to have. `back_to` is the version that a rollback leads to, `ending` is why.
    """

    model: str
    candidate: str
    stable: str
    run: int
    began_at: datetime
    step_began_at: datetime
    progressed_at: datetime
    plan_digest: str
    reason: str
    phase: RolloutPhase = RolloutPhase.PROGRESSING
    step: int = 0
    weight_bp: int = 0
    mirror_bp: int = BASIS_POINTS
    pause: PauseCause | None = None
    acknowledged: tuple[PauseCause, ...] = ()
    hand_seen: int | None = None
    blind_since: datetime | None = None
    confirmed_at: datetime | None = None
    promotion_began: bool = False
    promoted_at: datetime | None = None
    back_to: str = ""
    ending: str = ""
    conditions: tuple[RolloutCondition, ...] = ()

    def __post_init__(self) -> None:
        _require(self.candidate != self.stable, "a rollout leads from one version to another")
        _require(self.run >= 1 and self.step >= 0, "runs count from 1, steps from 0")
        _require(0 <= self.weight_bp <= BASIS_POINTS, "a weight lies within 0..10000 basis points")
        _require(0 <= self.mirror_bp <= BASIS_POINTS, "a mirror lies within 0..10000 basis points")
        _require((self.phase is RolloutPhase.PAUSED) == (self.pause is not None), "only a pause has a cause")
        _require(self.phase not in WITHOUT_WEIGHT or self.weight_bp == 0, f"{self.phase} has no weight")
        is_watched = self.phase is RolloutPhase.SURVEILLING
        _require(not is_watched or self.is_promoted, "only what was promoted is watched")
        times = (self.began_at, self.step_began_at, self.progressed_at)
        may_be = (self.promoted_at, self.blind_since, self.confirmed_at)
        _require(
            all(at is None or at.tzinfo is not None for at in (*times, *may_be)), "times name their zone"
        )

    @property
    def has_ended(self) -> bool:
        return self.phase in ENDED

    @property
    def is_promoted(self) -> bool:
        """Whether the champion's alias was seen to name the candidate by this rollout's doing."""
        return self.promoted_at is not None


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise ValueError(problem)


def anchored(status: RolloutStatus, now: datetime) -> RolloutStatus:
    """The status by a clock that may have jumped back: what would lie in the future began now.

    So a step that began while the clock was ahead waits for its time again, and not until the clock is there.
    """
    may_be = (status.promoted_at, status.blind_since, status.confirmed_at)
    times = (status.began_at, status.step_began_at, status.progressed_at)
    if max(*times, *(at or now for at in may_be)) <= now:
        return status
    return replace(
        status,
        began_at=min(status.began_at, now),
        step_began_at=min(status.step_began_at, now),
        progressed_at=min(status.progressed_at, now),
        promoted_at=min(status.promoted_at, now) if status.promoted_at else None,
        blind_since=min(status.blind_since, now) if status.blind_since else None,
        confirmed_at=min(status.confirmed_at, now) if status.confirmed_at else None,
    )
