"""The rollout demo: studies flow in and are counted, acts are played to their end, and a wrong ending is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest

from canary.rollout.status import RolloutPhase
from serve_apps.cli.client import ApiAway, ApiError
from serve_apps.cli.rollout_demo.acts import BETTER, MODEL, ROLES, WORSE, broken
from serve_apps.cli.rollout_demo.flow import DemoStudy, Flow, ReadStudy, Tally
from serve_apps.cli.rollout_demo.play import LONGEST_ACT_S, Play, Played
from serve_apps.rollout_spec.spec_file import read_rollouts

BROKEN = broken("5")
ACTS = (BETTER, WORSE, BROKEN)


# ---- the acts


@pytest.mark.parametrize("act", ACTS, ids=[act.plan for act in ACTS])
def test_each_act_has_a_plan_that_a_start_would_take(act: Any) -> None:
    (plan,) = read_rollouts(act.spec, act.plan)
    assert (plan.model, plan.promotes) == (MODEL, True)
    asked = {
        role for step in plan.steps if step.kind == "pause" and step.approval for role in step.approval.roles
    }
    assert asked == ROLES.keys()


def test_the_plans_of_the_better_and_of_the_worse_version_ask_the_same() -> None:
    """What stops the one would have stopped the other."""
    (better,), (worse,) = (read_rollouts(act.spec, act.plan) for act in (BETTER, WORSE))
    regulatory = replace(worse.regulatory, change_record=better.regulatory.change_record)
    assert replace(worse, name=better.name, regulatory=regulatory) == better


# ---- the flow


@dataclass
class FakeSite:
    """Answers what a test says of each study, by its number; `wait` is called before each answer."""

    outcome: Callable[[int], ReadStudy]
    wait: Callable[[], None] = lambda: None
    told: list[str] = field(default_factory=list)

    def read(self, study: DemoStudy) -> ReadStudy:
        self.wait()
        return self.outcome(int(study.study_uid))

    def tell(self, study: DemoStudy) -> None:
        self.told.append(study.study_uid)


def studies() -> Iterator[DemoStudy]:
    for number in count():
        yield DemoStudy(str(number), (b"",), number % 2 == 0)


def flowed(outcome: Callable[[int], ReadStudy], until: int, callers: int = 3) -> tuple[FakeSite, Tally]:
    site = FakeSite(outcome)
    with Flow(site, studies(), callers) as flow:
        while flow.tally().studies < until:
            pass
    return site, flow.tally()


def test_every_study_is_read_once_and_its_truth_is_told() -> None:
    site, tally = flowed(lambda number: ReadStudy("12"[number % 2]), until=40)
    assert sorted(map(int, site.told)) == list(range(tally.studies))
    assert tally.answered.total() == tally.studies
    assert abs(tally.answered["1"] - tally.answered["2"]) <= 3
    assert not tally.failed


def test_what_is_no_answer_is_counted_by_its_code_and_the_others_go_on() -> None:
    def outcome(number: int) -> ReadStudy:
        if number % 3 == 0:
            raise ApiError("too-many-jobs", "later")
        return ReadStudy(None, "model-error") if number % 3 == 1 else ReadStudy("1")

    _, tally = flowed(outcome, until=30)
    assert tally.failed.keys() == {"too-many-jobs", "model-error"}
    assert min(tally.failed.values()) >= 9
    assert tally.answered.keys() == {"1"}


def test_a_tally_stays_as_it_was_taken() -> None:
    before = Tally(Counter({"1": 3}), Counter({"x": 1}))
    after = Tally(Counter({"1": 5, "2": 4}), Counter({"x": 1}))
    assert after.minus(before) == Tally(Counter({"1": 2, "2": 4}), Counter())


# ---- the play


def told(phase: RolloutPhase, **more: Any) -> Mapping[str, Any]:
    return {"run": 4, "phase": phase.value, "reason": "so it is", "promoted_at": None, "gate": None, **more}


@dataclass
class FakeStage:
    """Tells of the rollout what a test lists, look by look; the last stays."""

    looks: list[Mapping[str, Any]]
    champion_is: str = "1"
    refuses: str = ""
    refuses_start: list[str] = field(default_factory=list)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    now: float = 0.0

    def set_alias(self, alias: str, version: str) -> None:
        self.calls.append(("alias", alias, version))

    def champion(self) -> str:
        return self.champion_is

    def wait_until_warm(self, version: str) -> None:
        self.calls.append(("warm", version))

    def start(self, spec: str) -> Mapping[str, Any]:
        self.calls.append(("start",))
        if self.refuses_start:
            raise ApiError(self.refuses_start.pop(), "another plan is under way")
        return self.rollout(4)

    def rollout(self, run: int) -> Mapping[str, Any]:
        assert run == 4, "the run that was started, whatever else is under way"
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def abort(self) -> None:
        self.calls.append(("abort",))

    def approve(self, role: str, person: str) -> None:
        if self.refuses:
            raise ApiError(self.refuses, "no")
        self.calls.append(("approve", role, person))

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def play(stage: FakeStage, tallies: list[Tally], shown: list[Any] | None = None) -> Play:
    seen = [] if shown is None else shown
    return Play(stage, lambda: tallies.pop(0), seen.append, clock=lambda: stage.now, sleep=stage.sleep)


QUIET, ANSWERED = Tally(), Tally(Counter({"1": 30, "2": 10}))
PROGRESSING = told(RolloutPhase.PROGRESSING)
PROMOTED = told(RolloutPhase.PROMOTING, promoted_at="2026-06-01T12:00:00Z")
APPROVALS = told(RolloutPhase.PROGRESSING, gate={"roles": ["radiologist", "quality"]})


def test_an_act_makes_the_challenger_starts_approves_and_goes_on_until_the_promotion() -> None:
    shown: list[Any] = []
    stage = FakeStage([PROGRESSING, APPROVALS, PROGRESSING, PROMOTED])
    played = play(stage, [QUIET, ANSWERED], shown).act(BETTER)
    assert stage.calls == [
        ("alias", "challenger", "2"),
        ("warm", "2"),
        ("start",),
        ("approve", "radiologist", "demo-radiologist"),
        ("approve", "quality", "demo-quality"),
    ]
    assert shown == [PROGRESSING, APPROVALS, PROGRESSING, PROMOTED]
    assert (played.is_promoted, played.version_answered, played.faults) == (True, 10, ())


def test_an_approval_that_is_not_waited_for_any_more_is_no_fault_and_another_refusal_is_one() -> None:
    stage = FakeStage([APPROVALS, PROMOTED], refuses="rollout-refused")
    assert play(stage, [QUIET, ANSWERED]).act(BETTER).faults == ()
    stage = FakeStage([APPROVALS, PROMOTED], refuses="forbidden")
    with pytest.raises(ApiError, match="forbidden"):
        play(stage, [QUIET, ANSWERED]).act(BETTER)


def test_an_act_that_does_not_end_is_given_up_and_told() -> None:
    stage = FakeStage([PROGRESSING])
    played = play(stage, [QUIET, ANSWERED]).act(BETTER)
    assert stage.now >= LONGEST_ACT_S
    assert "Progressing after" in played.faults[0]


@pytest.mark.parametrize(
    ("act", "rollout", "tally", "fault"),
    [
        (WORSE, told(RolloutPhase.FAILED), Tally(Counter({"2": 9})), None),
        (WORSE, told(RolloutPhase.FAILED), Tally(Counter({"3": 1})), "version 3 answered 1 studies"),
        (WORSE, PROMOTED, Tally(Counter({"2": 9})), "the rollout is Promoting"),
        (BROKEN, told(RolloutPhase.FAILED), Tally(Counter({"5": 9})), None),
        (BROKEN, told(RolloutPhase.FAILED), Tally(), "version 5 answered 0 studies"),
        (
            BROKEN,
            told(RolloutPhase.FAILED),
            Tally(Counter({"5": 9}), Counter({"model-error": 2})),
            "2 studies got",
        ),
        (BETTER, told(RolloutPhase.PAUSED), Tally(Counter({"2": 9})), "the rollout is Paused"),
    ],
)
def test_an_ending_that_is_not_the_storys_is_a_fault(
    act: Any, rollout: Mapping[str, Any], tally: Tally, fault: str | None
) -> None:
    faults = Played(act, rollout, tally, 12.0).faults
    assert faults == () if fault is None else fault in faults[0]


@pytest.mark.parametrize(
    ("champion", "moves"), [("1", []), ("2", [("alias", "champion", "1"), ("warm", "1")])]
)
def test_it_begins_with_version_1_as_champion(champion: str, moves: list[Any]) -> None:
    stage = FakeStage([PROGRESSING], champion_is=champion)
    play(stage, []).begin()
    assert stage.calls == moves


def test_an_api_that_is_away_ends_the_play() -> None:
    class Away(FakeStage):
        def rollout(self, run: int) -> Mapping[str, Any]:
            raise ApiAway("http://127.0.0.1:1")

    with pytest.raises(ApiAway):
        play(Away([PROGRESSING]), [QUIET]).act(BETTER)


def test_what_an_earlier_demo_left_under_way_is_ended_first() -> None:
    stage = FakeStage([PROMOTED], refuses_start=["rollout-refused"])
    assert play(stage, [QUIET, ANSWERED]).act(BETTER).faults == ()
    assert stage.calls[-3:] == [("start",), ("abort",), ("start",)]
    with pytest.raises(ApiError, match="forbidden"):
        play(FakeStage([PROMOTED], refuses_start=["forbidden"]), [QUIET]).act(BETTER)
