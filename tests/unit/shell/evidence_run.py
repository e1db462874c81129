"""A run with rows of every kind on a real ledger: drawn studies, pairs, truths, approvals and events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from canary.explain import DecisionRow
from canary.rollout.advance import Event
from canary.rollout.plan import RolloutPlan
from canary.rollout.seen import Approval
from canary.rollout.status import RolloutPhase, RolloutStatus
from canary.routing_table import CANARY
from canary.truth import TruthLabel
from core.errors import ModelError
from ledger import Ledger
from serve_apps.application.gather_evidence import GatheredEvidence
from tests.unit.canary.rollout.builders import METRICS, begun, plan
from tests.unit.ledger.conftest import NOON, set_time
from tests.unit.ledger.paired import SHARE, read_twice, says, told
from tests.unit.ledger.routed import decided, read_study, stood_in, table

MODEL = "ich"
PLAN = plan(model=MODEL, metrics=METRICS)
MINUTES = 5.0  # between two things that happen


@dataclass
class EvidenceRun:
    """Version 2 against version 1. `patients` are the pseudonyms of all whose studies came, `jobs` the ids."""

    ledger: Ledger
    declared: RolloutPlan = PLAN
    at: datetime = NOON
    patients: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)

    def begin(self, run: int = 1) -> None:
        self._pass_time()
        status = replace(
            begun(self.declared), run=run, began_at=self.at, step_began_at=self.at, progressed_at=self.at
        )
        self.ledger.rollouts.begin(self.declared, status, actor="ris/ada")

    @property
    def status(self) -> RolloutStatus:
        return self.ledger.rollouts.of_model(MODEL)[-1].status

    def look(self) -> None:
        """The controller's look, once all is settled."""
        self.at += timedelta(minutes=2)
        set_time(self.ledger, self.at)
        GatheredEvidence(self.ledger, SHARE).of(self.status, self.declared)

    def move(self, reason: str, actor: str = "rollout", **changes: object) -> None:
        self._pass_time()
        standing = self.ledger.rollouts.of_model(MODEL)[-1]
        after = replace(standing.status, reason=reason, **changes)  # type: ignore[arg-type]
        event = Event(standing.status, after, self.at, actor, reason)
        self.ledger.rollouts.move(standing, after, [event])

    def approve(self, role: str, actor: str, step: int = 2) -> None:
        self._pass_time()
        standing = self.ledger.rollouts.of_model(MODEL)[-1]
        approval = Approval(standing.status.run, step, role, actor, self.at)
        self.ledger.rollouts.move(standing, standing.status, approval=approval)

    def fail(self, reason: str) -> None:
        self.move(reason, phase=RolloutPhase.FAILED, weight_bp=0, ending=reason)

    def draw(self, patient: str, weight_bp: int, *, fails: bool = False) -> None:
        """A study is drawn at that weight, and the drawn version answers or fails."""
        self._pass_time()
        self.patients.append(patient)
        self.jobs.append(read_study(self.ledger, _rows(patient, weight_bp, fails=fails), at=self.at))

    def read(self, patient: str, truth: TruthLabel, *, candidate_right: bool = True) -> None:
        """Both versions read a study, the champion rightly, and its truth becomes known."""
        self._pass_time()
        self.patients.append(patient)
        right = truth.value
        wrong = next(one.value for one in TruthLabel if one in _BOTH and one is not truth)
        shadow = says("2", right if candidate_right else wrong)
        self.jobs.append(read_twice(self.ledger, patient, says("1", right), shadow, at=self.at))
        self.ledger.pairs.collect(MODEL, SHARE)
        self._pass_time()
        self.ledger.truths.add(told(truth, patient), actor="ris")

    def fail_shadow(self, patient: str) -> None:
        self._pass_time()
        self.patients.append(patient)
        self.jobs.append(read_twice(self.ledger, patient, shadow=ModelError.code, at=self.at))

    def _pass_time(self) -> None:
        self.at += timedelta(minutes=MINUTES)
        set_time(self.ledger, self.at)


_BOTH = (TruthLabel.PRESENT, TruthLabel.ABSENT)


def _rows(patient: str, weight_bp: int, *, fails: bool) -> Sequence[DecisionRow]:
    drawn = decided(patient, table(weight_bp))
    if not fails:
        return (drawn,)
    if drawn.variant == CANARY:
        return stood_in(drawn)
    return (replace(drawn, role="failed", outcome="model-error"),)
