"""Zero-harm: whatever a canary does wrong, the caller gets the champion's answer in time, and it is counted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from canary.assignment import Assignment, StudyFacts, assign
from canary.fallback import Failure, FallbackPolicy
from canary.gates import SitePolicy
from canary.routing_table import BASIS_POINTS
from core.errors import (
    DeadlineExceeded,
    InputOutOfDistribution,
    ModelFailed,
    ModelUnavailable,
    OutsideIntendedUse,
    Overloaded,
    SerinusError,
    StudyEvicted,
    WorkerLost,
)
from core.priority import Priority, QueueOrder, queue_order
from models.spec import IntendedUse
from serve_apps.application.messages import FetchedStudy, FetchRequest, Inference, ServedVersion
from serve_apps.application.predict_with_fallback import (
    FallbackInference,
    InferenceOutcome,
    InferenceRequest,
    failure_of,
)
from serve_apps.application.routing_snapshot import RoutingSnapshot
from tests.unit.shell.builders import a_prediction, a_snapshot, a_version
from tests.unit.shell.worker_fakes import a_study

CHAMPION, CANARY = a_version("1"), a_version("2")
POLICY = FallbackPolicy(stable_reserve_s=5.0)
FIRST = queue_order(Priority.STAT, datetime(2026, 1, 1, tzinfo=UTC))


class Versions:
    """Predicts, or raises what the test wants; its clock moves by `takes_s` per call. Notes when the slot is lent."""

    def __init__(
        self, failures: Mapping[str, list[SerinusError]], takes_s: float = 1.0, slot_takes_s: float = 0.0
    ) -> None:
        self.failures = {version: list(errors) for version, errors in failures.items()}
        self.refused: set[str] = set()
        self.takes_s = takes_s
        self.slot_takes_s = slot_takes_s
        self.time = 0.0
        self.asked: list[tuple[str, float]] = []
        self.lent_to: list[str] = []
        self.is_lent = False
        self.can_be_lent = True

    def clock(self) -> float:
        return self.time

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        self.is_lent = True
        try:
            yield
        finally:
            self.is_lent = False
            self.time += self.slot_takes_s

    async def accept(self, inference: Inference) -> str:
        """A report is the name of the version it is of."""
        version = inference.prediction.stamp.version
        if version in self.refused:
            raise ModelFailed("the model made no mask")
        return f"report of {version}"

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy:
        raise NotImplementedError

    async def predict(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float, order: QueueOrder
    ) -> Inference:
        self.asked.append((version.version, deadline_s))
        if self.is_lent:
            self.lent_to.append(version.version)
        self.time += self.takes_s
        waiting = self.failures.get(version.version, [])
        if waiting:
            raise waiting.pop(0)
        return Inference(a_prediction(version.version), (), "cpu")

    async def predict_when_idle(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float
    ) -> Inference:
        raise NotImplementedError


def drawn(snapshot: RoutingSnapshot) -> Assignment:
    return assign(StudyFacts("st-1", "pt-1"), snapshot.table("ich-triage"))


async def answered(
    versions: Versions,
    snapshot: RoutingSnapshot | None = None,
    deadline_s: float = 60,
    caller_left_s: float | None = None,
    **facts: Any,
) -> InferenceOutcome[str]:
    snapshot = snapshot or a_snapshot(CHAMPION, canary=CANARY, weight_bp=BASIS_POINTS)
    asking: FallbackInference[str] = FallbackInference(
        snapshot, versions, POLICY, SitePolicy.RESEARCH, versions.clock
    )
    request = InferenceRequest(
        a_study(**facts), drawn(snapshot), FIRST, versions, versions.accept, deadline_s, caller_left_s
    )
    return await asking.predict(request)


async def test_the_canary_answers_what_it_was_drawn_for() -> None:
    outcome = await answered(Versions({}))
    assert (outcome.version.version, outcome.variant.name, outcome.failures) == ("2", "canary", ())


@pytest.mark.parametrize(
    "error",
    [
        ModelFailed("the network failed"),
        ModelUnavailable("gone"),
        DeadlineExceeded("late"),
        SerinusError("a replica raised KeyError"),
    ],
)
async def test_a_canary_that_fails_is_answered_by_the_champion(error: SerinusError) -> None:
    outcome = await answered(Versions({"2": [error]}))
    assert outcome.version.version == "1"
    assert outcome.inference.prediction.stamp.version == "1"
    (failure,) = outcome.failures
    assert (failure.variant.name, failure.code, failure.counts) == ("canary", error.code, True)
    assert "champion answers" in outcome.reason


async def test_the_champion_keeps_time_to_answer_after_a_canary_that_hangs() -> None:
    versions = Versions({"2": [DeadlineExceeded("late")]})
    await answered(versions, deadline_s=60)
    (_, canary_s), (_, champion_s) = versions.asked
    assert canary_s <= 60 - POLICY.stable_reserve_s
    assert champion_s >= POLICY.stable_reserve_s


async def test_a_study_outside_the_canarys_use_goes_to_the_champion_without_blame() -> None:
    adults = replace(CANARY, spec=replace(CANARY.spec, intended_use=IntendedUse("x", ("CT",), (), 18)))
    snapshot = a_snapshot(CHAMPION, canary=adults, weight_bp=BASIS_POINTS)
    outcome = await answered(Versions({}), snapshot, age_years=7.0)
    assert outcome.version.version == "1"
    assert [failure.counts for failure in outcome.failures] == [False]


async def test_a_study_outside_the_champions_use_is_read_by_nobody() -> None:
    versions = Versions({})
    with pytest.raises(OutsideIntendedUse):
        await answered(versions, a_snapshot(CHAMPION), modality="MR")
    assert versions.asked == []


async def test_a_champion_whose_replica_died_is_asked_once_more() -> None:
    outcome = await answered(Versions({"1": [ModelUnavailable("died")]}), a_snapshot(CHAMPION))
    assert outcome.version.version == "1"


async def test_when_the_champion_fails_too_the_caller_hears_why() -> None:
    with pytest.raises(ModelFailed, match="champion's own"):
        await answered(Versions({"2": [ModelFailed("x")], "1": [ModelFailed("champion's own")]}))


async def test_nothing_is_asked_when_no_time_is_left() -> None:
    versions = Versions({"2": [DeadlineExceeded("late")]}, takes_s=100)
    with pytest.raises(DeadlineExceeded):
        await answered(versions, deadline_s=60)
    assert [version for version, _ in versions.asked] == ["2"]


async def test_a_result_says_research_only_as_the_gate_says_now() -> None:
    cleared = replace(CHAMPION, research_only=False)
    outcome = await answered(Versions({}), a_snapshot(cleared))
    assert not outcome.inference.prediction.stamp.research_only


async def test_a_canary_that_no_time_is_left_for_is_neither_asked_nor_blamed() -> None:
    versions = Versions({})
    outcome = await answered(versions, deadline_s=POLICY.stable_reserve_s)
    assert [version for version, _ in versions.asked] == ["1"]
    ((failure),) = outcome.failures
    assert (failure.code, failure.failure, failure.counts) == ("no-time", Failure.NO_TIME, False)
    assert "was not asked" in outcome.reason


async def test_the_time_to_the_caller_s_deadline_is_shared_with_the_champion() -> None:
    versions = Versions({"2": [DeadlineExceeded("late")]}, takes_s=4)
    outcome = await answered(versions, caller_left_s=8.0)
    (_, canary_s), (_, champion_s) = versions.asked
    assert canary_s == 4.0
    assert champion_s == 56.0, "the job goes on after its caller's deadline"
    assert [failure.counts for failure in outcome.failures] == [False], "its caller had no more time"


async def test_after_its_caller_s_deadline_the_champion_reads_a_study_at_once() -> None:
    versions = Versions({})
    outcome = await answered(versions, caller_left_s=0.0)
    assert versions.asked == [("1", 60.0)]
    assert [(failure.code, failure.counts) for failure in outcome.failures] == [("no-time", False)]


async def test_a_caller_without_a_deadline_shortens_nothing() -> None:
    versions = Versions({})
    await answered(versions)
    assert versions.asked == [("2", 30.0)]


async def test_a_canary_behind_which_too_many_studies_hang_is_passed_over() -> None:
    versions = Versions({})
    versions.can_be_lent = False
    outcome = await answered(versions)
    assert [version for version, _ in versions.asked] == ["1"]
    assert [(failure.code, failure.counts) for failure in outcome.failures] == [("no-time", False)]


async def test_only_a_canary_s_inference_runs_on_a_lent_slot() -> None:
    versions = Versions({"2": [ModelFailed("x")]})
    await answered(versions)
    assert versions.lent_to == ["2"]


async def test_the_wait_for_the_slot_takes_no_time_from_the_champion() -> None:
    versions = Versions({"2": [DeadlineExceeded("late")]}, takes_s=10, slot_takes_s=1000)
    await answered(versions, deadline_s=60)
    assert versions.asked[1] == ("1", 50.0)


async def test_a_canary_whose_output_no_report_may_hold_is_answered_by_the_champion() -> None:
    versions = Versions({})
    versions.refused = {"2"}
    outcome = await answered(versions)
    assert outcome.report == "report of 1"
    (failure,) = outcome.failures
    assert (failure.failure, failure.counts) == (Failure.REFUSED_OUTPUT, True)


async def test_a_champion_whose_output_no_report_may_hold_fails_as_a_model() -> None:
    versions = Versions({})
    versions.refused = {"1"}
    with pytest.raises(ModelFailed, match="no mask"):
        await answered(versions, a_snapshot(CHAMPION))


async def test_a_study_that_left_the_object_store_is_nobody_s_fault_and_nobody_else_is_asked() -> None:
    versions = Versions({"2": [StudyEvicted("gone")]})
    with pytest.raises(StudyEvicted):
        await answered(versions)
    assert len(versions.asked) == 1


@pytest.mark.parametrize(
    ("error", "failure"),
    [(WorkerLost("killed"), Failure.UNAVAILABLE), (Overloaded("queue is full"), Failure.OVERLOADED)],
)
def test_how_the_policy_calls_what_ray_says(error: SerinusError, failure: Failure) -> None:
    assert failure_of(error) is failure


async def test_a_study_that_a_canary_does_not_know_is_the_champion_s_and_no_failure_of_the_canary() -> None:
    versions = Versions({"2": [InputOutOfDistribution("the study is unlike those the version was made for")]})
    outcome = await answered(versions, a_snapshot(CHAMPION, canary=CANARY, weight_bp=BASIS_POINTS))
    assert outcome.version.version == "1"
    ((failure),) = outcome.failures
    assert (failure.code, failure.failure) == ("input-out-of-distribution", Failure.FOREIGN_INPUT)
    assert not failure.counts
    assert "does not know such input" in outcome.reason
