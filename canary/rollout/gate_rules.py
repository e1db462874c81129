"""What the answers of gates mean for a rollout, and which gate is to be asked now. Pure.

Only a yes that is fresh opens a gate. Silence, a no and an answer that is too old hold; they never promote. Only a
fresh yes of the gate rollback leads back; its silence does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from canary.rollout.case import Case
from canary.rollout.gate import GateAnswer, GateKind
from canary.rollout.plan import RolloutPlan
from canary.rollout.status import RolloutPhase, RolloutStatus

FRESH_S: Final = 60


@dataclass(frozen=True, slots=True)
class GateQuestion:
    """What an outside system is asked: about which rollout, and where it stands."""

    kind: GateKind
    url: str
    status: RolloutStatus

    @property
    def key(self) -> tuple[str, int, GateKind]:
        return self.status.model, self.status.run, self.kind


def questions_of(plan: RolloutPlan, status: RolloutStatus) -> tuple[GateQuestion, ...]:
    """The gates that matter where the rollout stands."""
    if status.has_ended or status.phase is RolloutPhase.ROLLING_BACK:
        return ()
    urls = ((kind, plan.gates.url(kind)) for kind in _matter(plan, status))
    return tuple(GateQuestion(kind, url, status) for kind, url in urls if url is not None)


def awaits_start(plan: RolloutPlan, status: RolloutStatus) -> bool:
    """Whether the first step may not begin before a gate has let it."""
    return plan.gates.confirm_rollout is not None and status.confirmed_at is None


def closed(case: Case, kind: GateKind) -> str | None:
    """Why a gate that confirms is not open, in a sentence; None if it is, or was never declared."""
    if case.plan.gates.url(kind) is None:
        return None
    answer = case.gate(kind)
    if answer is None:
        return f"waits for the gate {kind}, which has not answered yet"
    if not _is_fresh(case, answer):
        return f"waits for the gate {kind}, whose last answer is older than {FRESH_S} s"
    return None if answer.says is True else f"waits for the gate {kind}: {answer.reason}"


def rollback_asked(case: Case) -> str | None:
    """That the gate rollback asks for the way back, in a sentence; None while it does not."""
    answer = case.gate(GateKind.ROLLBACK)
    if case.plan.gates.rollback is None or answer is None or not _is_fresh(case, answer):
        return None
    return f"the gate {GateKind.ROLLBACK} asked for it: {answer.reason}" if answer.says is True else None


def _is_fresh(case: Case, answer: GateAnswer) -> bool:
    """An answer from what is now the future, after the clock went back, is none of now."""
    return 0 <= (case.now - answer.at).total_seconds() <= FRESH_S


def _matter(plan: RolloutPlan, status: RolloutStatus) -> Iterator[GateKind]:
    yield GateKind.ROLLBACK
    if status.phase is RolloutPhase.PROGRESSING:
        if awaits_start(plan, status):
            yield GateKind.CONFIRM_ROLLOUT
        if status.step >= len(plan.steps):
            yield GateKind.CONFIRM_PROMOTION
