"""What ends a rollout: harm, its deadline, and aliases that moved on without it."""

from __future__ import annotations

from dataclasses import replace

from canary.evidence.metric import MetricPhase
from canary.rollout.actions import is_back
from canary.rollout.case import Case
from canary.rollout.gate_rules import rollback_asked
from canary.rollout.plan import OnDeadline
from canary.rollout.seen import MetricSeen
from canary.rollout.status import PauseCause, RolloutPhase, RolloutStatus


def rolling_back(case: Case) -> RolloutStatus | None:
    """Goes on until the candidate is seen to answer nobody; nothing else is looked at meanwhile."""
    status = case.status
    if status.phase is not RolloutPhase.ROLLING_BACK:
        return None
    if is_back(status, case.world):
        return replace(status, phase=RolloutPhase.FAILED, reason=status.ending)
    return replace(status, reason=f"goes back to version {status.back_to}: {status.ending}")


def sent_back(status: RolloutStatus, ending: str, back_to: str | None = None) -> RolloutStatus:
    """The rollout on its way back, without weight from now on."""
    return replace(
        status,
        phase=RolloutPhase.ROLLING_BACK,
        pause=None,
        weight_bp=0,
        back_to=back_to or status.stable,
        ending=ending,
        reason=ending,
    )


def harmed(case: Case) -> RolloutStatus | None:
    """A metric that is watched failed, or the gate rollback asks for it: the rollout goes back. After its rollback
    window a person decides that.
    """
    found = first_harm(case)
    sentence = f"{found.metric} failed: {found.reason}" if found is not None else rollback_asked(case)
    if sentence is None:
        return None
    if not case.status.is_promoted or within_rollback_window(case):
        return sent_back(case.status, sentence)
    if PauseCause.REOPENED in (case.status.pause, *case.status.acknowledged):
        return None
    return replace(
        case.status,
        phase=RolloutPhase.PAUSED,
        pause=PauseCause.REOPENED,
        reason=f"the verdict is open again, {sentence}; the rollback window has ended: undo, or resume",
    )


def first_harm(case: Case) -> MetricSeen | None:
    """The first failed metric among those that are watched and no dry run."""
    names = dict.fromkeys(case.watched())
    found = (case.metric(name) for name in names if not case.plan.metric(name).dry_run)
    return next((one for one in found if one.phase is MetricPhase.FAILED), None)


def within_rollback_window(case: Case) -> bool:
    promoted_at = case.status.promoted_at
    window_s = case.plan.rollback_window.duration_s
    return promoted_at is not None and (case.now - promoted_at).total_seconds() < window_s


def overtaken(case: Case) -> RolloutStatus | None:
    """The aliases no longer ask for this rollout. A registry that is silent, or has no champion, says nothing."""
    world, status = case.world, case.status
    if not world.registry_answers:
        return None
    if status.is_promoted:
        return _withdrawn(case)
    if world.champion == status.candidate and status.promotion_began:
        return _has_moved(case)
    if world.champion == status.candidate:
        return superseded(status, f"somebody made version {status.candidate} champion in the registry")
    if world.champion not in (None, status.stable, status.candidate):
        return superseded(
            status, f"version {world.champion} became champion: what was compared with is no more"
        )
    if world.challenger != status.candidate:
        now_is = (
            f"version {world.challenger} is challenger now"
            if world.challenger
            else "challenger was taken away"
        )
        return superseded(status, now_is)
    return None


def _has_moved(case: Case) -> RolloutStatus:
    """The alias names the candidate since this rollout asked for it, also if it was stopped in between."""
    reason = f"version {case.status.candidate} is champion in the registry"
    return replace(
        case.status,
        phase=RolloutPhase.PROMOTING,
        pause=None,
        promoted_at=case.now,
        weight_bp=0,
        reason=reason,
    )


def _withdrawn(case: Case) -> RolloutStatus | None:
    """After the promotion an older champion is somebody's verdict on this one, which does not come back by itself; a
    newer one has followed it.
    """
    champion, status = case.world.champion, case.status
    if champion is None or champion == status.candidate:
        return None
    if _is_newer(champion, status.candidate):
        return superseded(status, f"version {champion} has followed version {status.candidate} as champion")
    reason = f"somebody made version {champion} champion in the registry after the promotion"
    return replace(
        status,
        phase=RolloutPhase.FAILED,
        pause=None,
        weight_bp=0,
        reason=reason,
        ending=reason,
        back_to=champion,
    )


def _is_newer(version: str, than: str) -> bool:
    """Registries number versions upwards; of what is no number nobody knows."""
    return version.isdecimal() and than.isdecimal() and int(version) > int(than)


def superseded(status: RolloutStatus, reason: str) -> RolloutStatus:
    """The rollout, which is asked for no more."""
    return replace(
        status, phase=RolloutPhase.SUPERSEDED, pause=None, weight_bp=0, reason=reason, ending=reason
    )


def overdue(case: Case) -> RolloutStatus | None:
    """A step that took longer than the deadline, where the plan has that end the rollout."""
    if case.plan.deadline.on is OnDeadline.ABORT and is_overdue(case):
        return sent_back(case.status, overdue_reason(case))
    return None


def is_overdue(case: Case) -> bool:
    """Whether a rollout that is to progress has not for the time of its deadline."""
    waited_s = (case.now - case.status.progressed_at).total_seconds()
    return case.status.phase is RolloutPhase.PROGRESSING and waited_s >= case.plan.deadline.after_s


def overdue_reason(case: Case) -> str:
    days = case.plan.deadline.after_s / 86_400
    return f"no step was done for {days:g} days: {case.status.reason}"
