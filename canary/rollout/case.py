"""One look at one rollout: the plan, where it stands, what is true now, and the time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from canary.evidence.metric import MetricPhase
from canary.rollout.gate import GateAnswer, GateKind
from canary.rollout.plan import RolloutPlan
from canary.rollout.seen import Approval, MetricSeen, RolloutEvidence, Seen, World
from canary.rollout.status import RolloutStatus
from canary.rollout.step import Step, metrics_of


@dataclass(frozen=True, slots=True)
class Case:
    """What a rule decides by. Evidence, approvals and answers of another run are not there."""

    plan: RolloutPlan
    status: RolloutStatus
    seen: Seen
    now: datetime

    @property
    def world(self) -> World:
        return self.seen.world

    @property
    def evidence(self) -> RolloutEvidence | None:
        found = self.seen.evidence
        return found if found is not None and found.run == self.status.run else None

    @property
    def step(self) -> Step | None:
        """The step under way; None when all are done."""
        return self.plan.steps[self.status.step] if self.status.step < len(self.plan.steps) else None

    @property
    def elapsed_s(self) -> float:
        """How long the step has been under way."""
        return (self.now - self.status.step_began_at).total_seconds()

    def approvals_of(self, step: int) -> tuple[Approval, ...]:
        run = self.status.run
        return tuple(one for one in self.seen.approvals if (one.run, one.step) == (run, step))

    def gate(self, kind: GateKind) -> GateAnswer | None:
        """The last answer of a gate about this run, however old."""
        run = self.status.run
        found = [one for one in self.seen.gates if (one.run, one.kind) == (run, kind)]
        return max(found, key=lambda one: one.at, default=None)

    def metric(self, name: str) -> MetricSeen:
        """What a metric says; of one that nothing is known of, that it has no data."""
        found = self.evidence.metrics.get(name) if self.evidence is not None else None
        return found or MetricSeen(name, MetricPhase.RUNNING, f"{name} has no data yet")

    def deciding(self, names: Iterable[str]) -> list[MetricSeen]:
        """What those of the metrics say that are no dry run; one that may lack data counts once it has some."""
        asked = [self.plan.metric(name) for name in dict.fromkeys(names)]
        seen = [(one, self.metric(one.name)) for one in asked if not one.dry_run]
        return [found for one, found in seen if one.must_have_data or found.observed > 0]

    def watched(self) -> Iterator[str]:
        """The metrics whose harm ends the rollout now: the background's, and those of each step that was reached."""
        plan, step = self.plan, self.status.step
        if step >= plan.background.starting_step:
            yield from plan.background.metrics
        for reached in plan.steps[: step + 1]:
            yield from metrics_of(reached)
        if self.status.is_promoted and plan.surveillance is not None:
            yield from plan.surveillance.metrics
