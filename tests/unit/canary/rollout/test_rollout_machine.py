"""Any order of events: ticks, lost ones and crashes, evidence that comes, goes and turns, people, clocks, aliases.

SERINUS_LONG_TESTS=1 runs twenty times as many.
"""

from __future__ import annotations

import os
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from canary.rollout.plan import Deadline, ExposureBudget, OnDeadline
from canary.rollout.seen import MetricPhase
from canary.rollout.verbs import Verb, VerbKind
from canary.routing_table import BASIS_POINTS
from canary.verdict import Verdict
from tests.unit.canary.rollout.builders import SUCCESSFUL, plan
from tests.unit.canary.rollout.site import Site

BUDGET = 40
LONG = bool(os.environ.get("SERINUS_LONG_TESTS"))
versions = st.sampled_from(["1", "2", "3", None])
metrics = st.sampled_from(["sensitivity", "canary-failures", "late-truth", "latency"])
people = st.sampled_from(["ada", "bob"])
jumps = st.sampled_from([1, 60, 3_600, 86_400, 5 * 86_400, 31 * 86_400, -60, -86_400, -400 * 86_400])


class RolloutMachine(RuleBasedStateMachine):
    """A site where everything happens in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.site = Site(plan(budget=ExposureBudget(BUDGET, 3)), challenger="2")

    @rule(crash_after=st.none() | st.integers(0, 3))
    def tick(self, crash_after: int | None) -> None:
        self.site.tick(crash_after)

    @rule(times=st.integers(1, 4))
    def ticks_while_routers_follow(self, times: int) -> None:
        for _ in range(times):
            self.site.routers_follow()
            self.site.tick()

    @rule()
    def routers_follow(self) -> None:
        self.site.routers_follow()

    @rule(metric=metrics, phase=st.sampled_from(MetricPhase))
    def evidence_says(self, metric: str, phase: MetricPhase) -> None:
        self.site.phases[metric] = phase

    @rule()
    def evidence_is_positive(self) -> None:
        self.site.phases |= {"sensitivity": SUCCESSFUL, "canary-failures": SUCCESSFUL}

    @rule(there=st.booleans())
    def evidence_comes_and_goes(self, there: bool) -> None:
        self.site.has_evidence = there

    @rule(verdict=st.sampled_from(Verdict))
    def the_split_is_judged(self, verdict: Verdict) -> None:
        self.site.sample_ratio = verdict

    @rule(verdict=st.sampled_from(Verdict))
    def the_routers_are_judged(self, verdict: Verdict) -> None:
        self.site.data_plane = verdict

    @rule(actor=people, role=st.sampled_from(["radiologist", "quality", "janitor"]))
    def approve(self, actor: str, role: str) -> None:
        self.site.say(Verb(kind=VerbKind.APPROVE, actor=actor, role=role))

    @rule()
    def both_approve(self) -> None:
        for actor, role in (("ada", "radiologist"), ("bob", "quality")):
            self.site.say(Verb(kind=VerbKind.APPROVE, actor=actor, role=role))

    @rule(
        kind=st.sampled_from([k for k in VerbKind if k is not VerbKind.APPROVE]),
        actor=people,
        full=st.booleans(),
    )
    def say(self, kind: VerbKind, actor: str, full: bool) -> None:
        self.site.say(Verb(kind=kind, actor=actor, full=full and kind is VerbKind.PROMOTE))

    @rule()
    def resume(self) -> None:
        self.site.say(Verb(kind=VerbKind.RESUME, actor="ada"))

    @rule(seconds=jumps)
    def the_clock_jumps(self, seconds: int) -> None:
        self.site.pass_time(timedelta(seconds=seconds))

    @rule(version=versions)
    def champion_by_hand(self, version: str | None) -> None:
        self.site.champion = version

    @rule(version=versions)
    def challenger_by_hand(self, version: str | None) -> None:
        self.site.challenger = version

    @rule(version=st.sampled_from(["2", "3"]), weight_bp=st.sampled_from([0, 500, 5_000, BASIS_POINTS]))
    def weight_by_hand(self, version: str, weight_bp: int) -> None:
        self.site.set_weight_by_hand(version, weight_bp)

    @rule(answers=st.booleans())
    def mlflow(self, answers: bool) -> None:
        self.site.registry_answers = answers

    @rule(answers=st.booleans())
    def ledger(self, answers: bool) -> None:
        self.site.ledger_answers = answers

    @rule(frozen=st.booleans())
    def freeze(self, frozen: bool) -> None:
        self.site.is_frozen = frozen

    @rule(may=st.booleans())
    def the_gate(self, may: bool) -> None:
        self.site.may_answer = may

    @rule(after_s=st.sampled_from([3_600, 30 * 86_400]), on=st.sampled_from(OnDeadline))
    def the_deadline_changes(self, after_s: int, on: OnDeadline) -> None:
        self.site.plan = plan(budget=self.site.plan.budget, deadline=Deadline(after_s, on))

    @rule(count=st.integers(1, BUDGET))
    def studies(self, count: int) -> None:
        self.site.studies(count)

    @precondition(lambda self: self.site.under_way is not None)
    @rule()
    def something_adverse(self) -> None:
        self.site.adverse[self.site.under_way.run] += 1  # type: ignore[union-attr]

    @rule()
    def a_day_as_planned(self) -> None:
        """All goes well for once, so that the later steps are reached."""
        site = self.site
        site.registry_answers = site.ledger_answers = site.has_evidence = site.may_answer = True
        site.is_frozen, site.sample_ratio = False, Verdict.SUCCESSFUL
        site.phases = {"sensitivity": SUCCESSFUL, "canary-failures": SUCCESSFUL}
        for _ in range(3):
            site.routers_follow()
            site.tick()
            self.both_approve()
            site.studies(10)
            site.tick()
        site.pass_time(timedelta(days=1))

    @invariant()
    def nothing_is_broken(self) -> None:
        assert self.site.broken == []


RolloutMachine.TestCase.settings = settings(max_examples=2_000 if LONG else 100, stateful_step_count=50)
test_rollouts_in_any_order = RolloutMachine.TestCase
