"""What a look need not ask the ledger again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from canary.rollout.nominate import begin
from canary.rollout.plan import RolloutPlan
from canary.rollout.seen import Approval, RolloutEvidence
from canary.rollout.status import RolloutStatus
from ledger import StoredRollout
from ledger.rollout_marks import Mark
from serve_apps.control.rollout_memory import RolloutMemory
from tests.unit.canary.rollout.builders import GOOD, NOON, plan

MODEL = "chest-ct"
STORED = StoredRollout(plan(), begin(plan(), "2", "1", run=1, now=NOON), 1)
QUIET = Mark(NOON, 3, is_settled=True)


@dataclass
class CountingEvidence:
    """Says GOOD, and how often it was asked; raises `error` if there is one."""

    asked: int = 0
    error: Exception | None = None
    given: RolloutEvidence | None = GOOD

    def of(self, status: RolloutStatus, plan: RolloutPlan) -> RolloutEvidence | None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.given


@dataclass
class Site:
    port: CountingEvidence = field(default_factory=CountingEvidence)
    marks: dict[str, Mark] = field(default_factory=lambda: {MODEL: QUIET})
    asked_approvals: list[tuple[str, int]] = field(default_factory=list)
    away: bool = False

    def __post_init__(self) -> None:
        self.memory = RolloutMemory(self.port, self.read_marks, self.read_approvals)

    def read_marks(self) -> dict[str, Mark]:
        if self.away:
            raise ConnectionError
        return dict(self.marks)

    def read_approvals(self, model: str, run: int) -> tuple[Approval, ...]:
        self.asked_approvals.append((model, run))
        return (Approval(run, 2, "quality", "ris/bob", NOON),)

    def look(self, stored: StoredRollout = STORED) -> RolloutEvidence | None:
        self.memory.begin_look()
        return self.memory.evidence(stored)


def test_evidence_for_which_nothing_came_is_asked_once() -> None:
    site = Site()
    assert [site.look() for _ in range(3)] == [GOOD] * 3
    assert site.port.asked == 1


@pytest.mark.parametrize(
    "mark",
    [replace(QUIET, changes=4), replace(QUIET, newest=NOON + timedelta(seconds=1))],
    ids=["a truth was told", "a study was read"],
)
def test_what_came_is_asked_for(mark: Mark) -> None:
    site = Site()
    site.look()
    site.marks[MODEL] = mark
    site.look()
    assert site.port.asked == 2


def test_while_rows_may_still_appear_each_look_asks() -> None:
    site = Site(marks={MODEL: replace(QUIET, is_settled=False)})
    site.look()
    site.look()
    site.marks[MODEL] = QUIET
    site.look()
    assert site.port.asked == 3, "the last rows are taken once they are settled"
    site.look()
    assert site.port.asked == 3


def test_another_run_of_the_model_has_evidence_of_its_own() -> None:
    site = Site()
    site.look()
    site.look(replace(STORED, status=replace(STORED.status, run=2)))
    assert site.port.asked == 2


def test_what_could_not_be_computed_is_asked_again() -> None:
    site = Site(port=CountingEvidence(error=ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        site.look()
    site.port.error, site.port.given = None, None
    assert site.look() is None
    site.port.given = GOOD
    assert site.look() == GOOD


def test_when_nothing_is_known_of_the_ledger_nothing_is_remembered() -> None:
    site = Site()
    site.look()
    site.away = True
    with pytest.raises(ConnectionError):
        site.memory.begin_look()
    site.memory.evidence(STORED)
    assert site.port.asked == 2


def test_approvals_are_asked_once_for_each_revision() -> None:
    site = Site()
    found = [site.memory.approvals(STORED) for _ in range(3)]
    assert found[0] == found[2]
    assert found[0][0].actor == "ris/bob"
    site.memory.approvals(replace(STORED, revision=2))
    assert site.asked_approvals == [(MODEL, 1)] * 2
