"""Plans that cannot be, what of a plan may change, the default plan, and which rollout begins."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.evidence.metric import Hypothesis, MetricKind, MetricSpec
from canary.rollout.approvals import missing
from canary.rollout.default_plan import default_plan
from canary.rollout.nominate import Nomination, NotNow, begin, nominate
from canary.rollout.plan import (
    Background,
    ExposureBudget,
    Regulatory,
    RolloutPlan,
    Surveillance,
    declared_mirror_bp,
    declared_weight_bp,
)
from canary.rollout.plan_digest import plan_digest, refused_changes
from canary.rollout.seen import Approval
from canary.rollout.status import RolloutPhase, RolloutStatus, anchored
from canary.rollout.step import Analysis, ApprovalRule, Experiment, Pause, SetMirror, SetWeight, Step, Until
from canary.rollout.windows import Calendar, Freeze, Window, closed_reason, next_opening
from core.codec import from_json, to_json
from tests.unit.canary.rollout.builders import (
    ALL,
    CANARY,
    DAY,
    METRICS,
    MIRROR,
    NOON,
    PROVE,
    WAIT,
    begun,
    plan,
    sensitivity,
    world,
)

# ---- what cannot be a plan


@pytest.mark.parametrize(
    ("steps", "step", "problem"),
    [
        ((PROVE, CANARY, SetWeight(400), ALL), 2, "above the one before"),
        ((PROVE, CANARY, SetWeight(500), ALL), 2, "above the one before"),
        ((PROVE, CANARY), 1, "ends with setWeight: 100"),
        ((MIRROR, CANARY, WAIT, ALL), 3, "waits for evidence"),
        ((MIRROR, CANARY, ALL, PROVE), 2, "waits for evidence"),
        ((MIRROR, Analysis(("latency",)), PROVE, ALL), 1, "dry-run"),
        ((Analysis(("canary-failures",)), ALL), 0, "none has yet"),
        ((Pause(until=Until(metrics=("latency",))), PROVE, ALL), 0, "dry-run"),
    ],
)
def test_steps_that_could_never_be_right_are_told(steps: tuple[Step, ...], step: int, problem: str) -> None:
    with pytest.raises(ValueError, match=f"step {step}: .*{problem}"):
        plan(*steps)


@pytest.mark.parametrize("step", [CANARY, Experiment(200, 60, ("canary-failures",))])
def test_without_live_exposure_only_silent_steps_are_allowed(step: Step) -> None:
    with pytest.raises(ValueError, match=r"step 2: .*liveExposureAllowed is false"):
        plan(MIRROR, PROVE, step, regulatory=Regulatory())
    assert not plan(MIRROR, PROVE, WAIT, regulatory=Regulatory()).promotes


@pytest.mark.parametrize(
    "wrong",
    [
        {"metrics": (*METRICS, sensitivity())},
        {"background": Background(("nobody",))},
        {"background": Background(("latency",), 99)},
        {"surveillance": Surveillance(("nobody",), 60)},
        {"steps": ()},
    ],
)
def test_a_plan_that_contradicts_itself_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"metric|template|step"):
        replace(plan(), **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: SetMirror(0),
        lambda: SetWeight(10_001),
        lambda: Experiment(5_001, 60, ()),
        lambda: Pause(),
        lambda: Pause(duration_s=1, until=Until(1)),
        lambda: Until(),
        lambda: ApprovalRule(("a", "a"), 2),
        lambda: ApprovalRule(("a", "b"), 1),
        lambda: ApprovalRule((), 0),
        lambda: Regulatory(True),
        lambda: Window(frozenset(), time(8), time(9)),
        lambda: Window(frozenset({1}), time(9), time(8)),
        lambda: Freeze(date(2026, 1, 2), date(2026, 1, 1)),
        lambda: Calendar("Paris"),
        lambda: sensitivity(justification=" "),
        lambda: sensitivity(margin=None),
        lambda: sensitivity(margin=0.0),
        lambda: sensitivity(margin=1.0),
        lambda: sensitivity(tolerance=0.05),
        lambda: sensitivity(kind=MetricKind.CANARY_FAILURES),
        lambda: sensitivity(alpha_harm=0.0),
        lambda: sensitivity(planned_looks=(100,)),
        lambda: sensitivity(kind=MetricKind.AUC, planned_looks=(200, 100)),
        lambda: sensitivity(slo=0.01),
        lambda: MetricSpec(name="m", kind=MetricKind.MEASUREMENT, planned_looks=(100,)),
    ],
)
def test_a_part_that_could_never_be_right_cannot_be_built(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        wrong()


def test_weights_and_mirrors_are_those_of_the_last_step_that_set_them() -> None:
    declared = plan(SetMirror(5_000), PROVE, Experiment(200, 60, ("canary-failures",)), CANARY, WAIT, ALL)
    assert [declared_weight_bp(declared, step) for step in range(7)] == [0, 0, 200, 500, 500, 10_000, 10_000]
    assert {declared_mirror_bp(declared, step) for step in range(7)} == {5_000}
    assert declared_mirror_bp(plan(PROVE, ALL), 0) == 10_000


# ---- what may change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"metrics": (sensitivity(margin=0.08), *METRICS[1:])}, "margin of sensitivity was 0.05 and is 0.08"),
        ({"metrics": (sensitivity(alpha_harm=0.2), *METRICS[1:])}, "sensitivity does not change"),
        ({"metrics": (*METRICS, sensitivity(name="more"))}, "more was added"),
        ({"steps": (MIRROR, PROVE, CANARY, ALL)}, "no step changes"),
        ({"background": Background()}, "background does not change"),
        ({"regulatory": Regulatory(True, "CR-9")}, "regulatory does not change"),
        ({"budget": ExposureBudget(7)}, None),
        ({"calendar": Calendar("Europe/Paris")}, None),
    ],
)
def test_no_margin_changes_after_the_start_and_budgets_may(change: dict[str, Any], told: str | None) -> None:
    before, after = plan(), replace(plan(), **change)
    refused = refused_changes(before, after)
    assert len(refused) == (told is not None)
    assert (told or "") in "".join(refused)
    assert (plan_digest(before) != plan_digest(after)) == (told is not None)


def test_a_digest_is_that_of_the_content() -> None:
    assert plan_digest(plan()) == plan_digest(from_json(RolloutPlan, to_json(RolloutPlan, plan())))


def test_a_plan_without_ground_truth_set_and_backlog_has_the_digest_of_before_there_were_any() -> None:
    digest = "34375c9290121a93b5380d537776b47d2b871e8a5d3d594d3a870687ea821713"
    assert plan_digest(plan()) == digest
    with_set = replace(plan().metrics[0], truth_sets=("ref",))
    assert plan_digest(replace(plan(), metrics=(with_set, *plan().metrics[1:]))) != digest
    with_past = replace(plan(), steps=(SetMirror(10_000, replay_last=7), *plan().steps[1:]))
    assert plan_digest(with_past) != digest
    assert refused_changes(plan(), with_past) == ("no step changes after the start",)


# ---- the default plan


def test_the_default_plan_is_proof_in_the_shadow_approval_5_25_100_and_surveillance() -> None:
    found = default_plan("chest-ct", live_exposure_allowed=True, change_record="CR-1")
    assert [step.kind for step in found.steps[:2]] == ["analysis", "pause"]
    assert [s.weight_bp for s in found.steps if isinstance(s, SetWeight)] == [500, 2_500, 10_000]
    assert found.surveillance is not None
    approval = found.steps[1]
    assert isinstance(approval, Pause)
    assert approval.approval == ApprovalRule(("radiologist", "quality"), 2)
    margins = {m.margin for m in found.metrics if m.hypothesis is Hypothesis.NON_INFERIORITY}
    assert margins == {0.05}


def test_the_default_plan_of_a_model_without_a_change_record_exposes_nobody() -> None:
    found = default_plan("chest-ct")
    assert (found.promotes, [step.kind for step in found.steps]) == (
        False,
        ["analysis", "pause"],
    )


# ---- windows

PARIS = Calendar("Europe/Paris", (Window(frozenset({0, 1, 2, 3}), time(8), time(16)),))


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        (datetime(2026, 6, 1, 5, 59, tzinfo=UTC), False),  # 07:59 in Paris in summer
        (datetime(2026, 6, 1, 6, 0, tzinfo=UTC), True),
        (datetime(2026, 6, 1, 14, 0, tzinfo=UTC), False),
        (datetime(2026, 12, 7, 6, 30, tzinfo=UTC), False),  # 07:30 in winter
        (datetime(2026, 12, 7, 7, 0, tzinfo=UTC), True),
        (datetime(2026, 6, 5, 10, 0, tzinfo=UTC), False),  # a Friday
    ],
)
def test_windows_go_by_the_wall_clock_of_the_site(at: datetime, is_open: bool) -> None:
    assert (closed_reason(PARIS, at) is None) == is_open


def test_the_next_opening_is_told_and_lies_behind_a_freeze() -> None:
    frozen = replace(PARIS, freezes=(Freeze(date(2026, 6, 8), date(2026, 6, 9)),))
    friday = datetime(2026, 6, 5, 10, tzinfo=UTC)
    assert "next Wed 2026-06-10 08:00 Europe/Paris" in str(closed_reason(frozen, friday))
    ever = replace(PARIS, freezes=(Freeze(date(2026, 1, 1), date(2036, 1, 1)),))
    assert next_opening(ever, friday) is None


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)))
def test_at_the_next_opening_the_calendar_is_open(now: datetime) -> None:
    opening = next_opening(PARIS, now)
    assert opening is not None
    assert opening > now
    assert closed_reason(PARIS, opening) is None


# ---- approvals


@pytest.mark.parametrize(
    ("given_by", "count", "is_granted"),
    [
        ({("ada", "a"), ("bob", "b")}, 2, True),
        ({("ada", "a"), ("ada", "b")}, 2, False),
        ({("ada", "a"), ("ada", "b"), ("bob", "a")}, 2, True),
        ({("ada", "a"), ("bob", "b")}, 3, False),
        ({("ada", "a"), ("bob", "b"), ("eve", "a")}, 3, True),
        ({("ada", "a"), ("bob", "a")}, 2, False),
        ({("ada", "a"), ("ada", "b"), ("eve", "c")}, 2, False),
        (set(), 2, False),
    ],
)
def test_each_role_needs_a_person_of_its_own(
    given_by: set[tuple[str, str]], count: int, is_granted: bool
) -> None:
    approvals = [Approval(1, 0, role, actor, NOON) for actor, role in given_by]
    assert (missing(ApprovalRule(("a", "b"), count), approvals) is None) == is_granted


# ---- which rollout begins


def ended(phase: RolloutPhase, candidate: str = "2", **changes: Any) -> RolloutStatus:
    return replace(begin(plan(), candidate, "1", run=1, now=NOON), phase=phase, **changes)


PROMOTED: dict[str, Any] = {"promotion_began": True, "promoted_at": NOON}


@pytest.mark.parametrize(
    ("aliases", "known", "why"),
    [
        ({"registry_answers": False}, (), "MLflow"),
        ({"challenger": None}, (), "no version is challenger"),
        ({"champion": None}, (), "no champion"),
        ({"champion": "2"}, (), "champion already"),
        ({}, (begun(),), "under way"),
        ({}, (ended(RolloutPhase.FAILED),), "nobody has retried"),
        ({}, (ended(RolloutPhase.FAILED), ended(RolloutPhase.SUPERSEDED, "3", run=2)), "nobody has retried"),
        ({}, (ended(RolloutPhase.COMPLETED),), "silent trial"),
        ({}, (ended(RolloutPhase.ROLLING_BACK),), "under way"),
        ({}, (ended(RolloutPhase.PROMOTING, "3", promotion_began=True),), "under way"),
    ],
)
def test_no_rollout_begins_while_another_runs_or_after_a_verdict(
    aliases: dict[str, Any], known: tuple[RolloutStatus, ...], why: str
) -> None:
    found = nominate(world(**aliases), known)
    assert isinstance(found, NotNow)
    assert why in found.reason


@pytest.mark.parametrize(
    ("known", "run"),
    [
        ((), 1),
        ((ended(RolloutPhase.SUPERSEDED),), 2),
        ((ended(RolloutPhase.FAILED, "3", run=4),), 5),
        ((ended(RolloutPhase.SURVEILLING, "3", **PROMOTED),), 2),
        ((ended(RolloutPhase.PROMOTING, "3", **PROMOTED),), 2),
        ((replace(ended(RolloutPhase.COMPLETED), stable="0"),), 2),
    ],
)
def test_a_challenger_begins_its_rollout_at_the_first_step(
    known: tuple[RolloutStatus, ...], run: int
) -> None:
    assert nominate(world(), known) == Nomination("2", "1", run)
    first = begin(plan(), "2", "1", run=run, now=NOON)
    assert (first.step, first.weight_bp, first.phase) == (0, 0, RolloutPhase.PROGRESSING)


# ---- statuses that may not be


@pytest.mark.parametrize(
    "wrong",
    [
        {"candidate": "1"},
        {"run": 0},
        {"weight_bp": 10_001},
        {"phase": RolloutPhase.PAUSED},
        {"phase": RolloutPhase.SURVEILLING},
        {"phase": RolloutPhase.FAILED, "weight_bp": 1},
        {"began_at": NOON.replace(tzinfo=None)},
    ],
)
def test_a_status_that_may_not_be_cannot_be_built(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        begun(plan(), **wrong)


@given(st.lists(st.integers(-1_000, 1_000), min_size=4, max_size=4), st.integers(-1_000, 1_000))
def test_no_time_of_an_anchored_status_lies_in_the_future(days: list[int], today: int) -> None:
    began, step, progressed, promoted = (NOON + number * DAY for number in days)
    status = begun(plan(), began_at=began, step_began_at=step, progressed_at=progressed, promoted_at=promoted)
    now = NOON + today * DAY
    found = anchored(status, now)
    assert max(found.began_at, found.step_began_at, found.progressed_at, found.promoted_at or now) <= now
    assert anchored(found, now) == found
