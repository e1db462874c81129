"""Which rollout begins now: the challenger's, unless one is under way or it has had its verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from canary.rollout.default_plan import DefaultRollout
from canary.rollout.plan import RolloutPlan, declared_mirror_bp
from canary.rollout.plan_digest import plan_digest
from canary.rollout.seen import World
from canary.rollout.status import RolloutPhase, RolloutStatus


@dataclass(frozen=True, slots=True)
class Nomination:
    """A rollout that is to begin."""

    candidate: str
    stable: str
    run: int


@dataclass(frozen=True, slots=True)
class NotNow:
    """Why none begins, in a sentence."""

    reason: str


def nominate(world: World, known: Iterable[RolloutStatus]) -> Nomination | NotNow:
    """The rollout that the aliases ask for. `known` are the statuses of the model, at least the last of each version.

    A version that failed does not begin again by itself, also not after others had their turn: a person retries it.
    """
    statuses = sorted(known, key=lambda status: status.run)
    if not world.registry_answers:
        return NotNow("MLflow does not answer")
    if world.challenger is None:
        return NotNow("no version is challenger")
    if world.champion is None:
        return NotNow("there is no champion to compare with")
    if world.champion == world.challenger:
        return NotNow(f"version {world.champion} is champion already")
    under_way = [one for one in statuses if not (one.has_ended or _is_watched(one))]
    if under_way:
        return NotNow(f"the rollout of version {under_way[-1].candidate} is under way")
    refused = _verdict_of(world.challenger, world.champion, statuses)
    if refused is not None:
        return NotNow(refused)
    return Nomination(world.challenger, world.champion, 1 + max((one.run for one in statuses), default=0))


def _is_watched(status: RolloutStatus) -> bool:
    """Whether it was promoted: the former champion's drain, and a surveillance, go on beside the next rollout."""
    return status.is_promoted and status.phase is not RolloutPhase.ROLLING_BACK


def _verdict_of(candidate: str, champion: str, statuses: list[RolloutStatus]) -> str | None:
    """Why the candidate does not begin again by itself, from its last run; None if it may."""
    last = next((one for one in reversed(statuses) if one.candidate == candidate), None)
    if last is None:
        return None
    if last.phase is RolloutPhase.FAILED:
        return f"version {candidate} failed in run {last.run}, and nobody has retried it"
    if last.phase is RolloutPhase.ROLLING_BACK:
        return f"the rollout of version {candidate} is on its way back"
    is_silent = last.phase is RolloutPhase.COMPLETED and not last.is_promoted
    if is_silent and last.stable == champion:
        return f"the silent trial of version {candidate} is over"
    return None


def plan_for(
    model: str, known: Iterable[tuple[RolloutPlan, RolloutStatus]], default: DefaultRollout
) -> RolloutPlan:
    """The plan of a rollout that begins by itself. `known` are plans and statuses of the model's former ones.

    The plan that was declared for the model last, if it exposes nobody. One that does stands under the change record
    of an earlier version, so that a person starts it anew: until then the default applies.
    """
    declared = [(status.run, plan) for plan, status in known if not plan.is_default]
    last = max(declared, key=lambda one: one[0], default=None)
    if last is not None and not last[1].regulatory.live_exposure_allowed:
        return last[1]
    return default.plan(model)


def begin(
    plan: RolloutPlan,
    candidate: str,
    stable: str,
    *,
    run: int,
    now: datetime,
    why: str = "it became challenger",
) -> RolloutStatus:
    """The first status of a run: at its first step, with no weight."""
    return RolloutStatus(
        model=plan.model,
        candidate=candidate,
        stable=stable,
        run=run,
        began_at=now,
        step_began_at=now,
        progressed_at=now,
        plan_digest=plan_digest(plan),
        reason=f"the rollout of version {candidate} against version {stable} begins: {why}",
        mirror_bp=declared_mirror_bp(plan, 0),
        back_to=stable,
    )
