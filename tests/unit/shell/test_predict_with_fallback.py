"""Zero-harm: whatever a canary does wrong, the caller gets the champion's answer in time, and it is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from canary.assignment import Assignment, StudyFacts, assign
from canary.fallback import FallbackPolicy
from canary.gates import SitePolicy
from canary.routing_table import BASIS_POINTS
from core.errors import (
    DeadlineExceeded,
    ModelFailed,
    ModelUnavailable,
    OutsideIntendedUse,
    SerinusError,
)
from core.priority import Priority, QueueOrder, queue_order
from imaging.patient_facts import PatientFacts
from imaging.series import SeriesRule
from models.spec import IntendedUse
from serve_apps.application.messages import FetchedStudy, FetchRequest, Inference, ServedVersion
from serve_apps.application.predict_with_fallback import FallbackInference, InferenceOutcome
from serve_apps.application.routing_snapshot import RoutingSnapshot
from tests.unit.shell.builders import a_prediction, a_snapshot, a_version

CHAMPION, CANARY = a_version("1"), a_version("2")
POLICY = FallbackPolicy(stable_reserve_s=5.0)
FIRST = queue_order(Priority.STAT, datetime(2026, 1, 1, tzinfo=UTC))


class FakeReading:
    """Answers with the version's name, or raises what the test wants; its clock moves by `takes_s` per call."""

    def __init__(self, failures: Mapping[str, list[SerinusError]], takes_s: float = 1.0) -> None:
        self.failures = {version: list(errors) for version, errors in failures.items()}
        self.takes_s = takes_s
        self.time = 0.0
        self.asked: list[tuple[str, float]] = []

    def clock(self) -> float:
        return self.time

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy:
        raise NotImplementedError

    async def predict(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float, order: QueueOrder
    ) -> Inference:
        self.asked.append((version.version, deadline_s))
        self.time += self.takes_s
        waiting = self.failures.get(version.version, [])
        if waiting:
            raise waiting.pop(0)
        return Inference(a_prediction(version.version), (), "cpu")

    async def predict_when_idle(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float
    ) -> Inference:
        raise NotImplementedError


def a_study(**facts: Any) -> FetchedStudy:
    patient = PatientFacts("P1", "A1", None, "CT", "HEAD", "Scanner")
    whole: dict[str, Any] = {
        "model": "ich-triage",
        "rule": SeriesRule(("CT",)),
        "volume": None,
        "context": None,
        "geometry": None,
        "facts": replace(patient, **facts),
        "refused": {},
        "bytes_received": 1,
        "stages": (),
    }
    return FetchedStudy(**whole)


def drawn(snapshot: RoutingSnapshot) -> Assignment:
    return assign(StudyFacts("st-1", "pt-1"), snapshot.table("ich-triage"))


async def answered(
    reading: FakeReading, snapshot: RoutingSnapshot | None = None, deadline_s: float = 60, **facts: Any
) -> InferenceOutcome:
    snapshot = snapshot or a_snapshot(CHAMPION, canary=CANARY, weight_bp=BASIS_POINTS)
    answering = FallbackInference(snapshot, reading, POLICY, SitePolicy.RESEARCH, reading.clock)
    return await answering.predict(a_study(**facts), drawn(snapshot), deadline_s, FIRST)


async def test_the_canary_answers_what_it_was_drawn_for() -> None:
    found = await answered(FakeReading({}))
    assert (found.version.version, found.variant.name, found.failures) == ("2", "canary", ())


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
    found = await answered(FakeReading({"2": [error]}))
    assert found.version.version == "1"
    assert found.inference.prediction.stamp.version == "1"
    (failure,) = found.failures
    assert (failure.variant.name, failure.code, failure.counts) == ("canary", error.code, True)
    assert "champion answers" in found.reason


async def test_the_champion_keeps_time_to_answer_after_a_canary_that_hangs() -> None:
    reading = FakeReading({"2": [DeadlineExceeded("late")]})
    await answered(reading, deadline_s=60)
    (_, canary_s), (_, champion_s) = reading.asked
    assert canary_s <= 60 - POLICY.stable_reserve_s
    assert champion_s >= POLICY.stable_reserve_s


async def test_a_study_outside_the_canarys_use_goes_to_the_champion_without_blame() -> None:
    adults = replace(CANARY, spec=replace(CANARY.spec, intended_use=IntendedUse("x", ("CT",), (), 18)))
    snapshot = a_snapshot(CHAMPION, canary=adults, weight_bp=BASIS_POINTS)
    found = await answered(FakeReading({}), snapshot, age_years=7.0)
    assert found.version.version == "1"
    assert [failure.counts for failure in found.failures] == [False]


async def test_a_study_outside_the_champions_use_is_read_by_nobody() -> None:
    reading = FakeReading({})
    with pytest.raises(OutsideIntendedUse):
        await answered(reading, a_snapshot(CHAMPION), modality="MR")
    assert reading.asked == []


async def test_a_champion_whose_replica_died_is_asked_once_more() -> None:
    found = await answered(FakeReading({"1": [ModelUnavailable("died")]}), a_snapshot(CHAMPION))
    assert found.version.version == "1"


async def test_when_the_champion_fails_too_the_caller_hears_why() -> None:
    with pytest.raises(ModelFailed, match="champion's own"):
        await answered(FakeReading({"2": [ModelFailed("x")], "1": [ModelFailed("champion's own")]}))


async def test_nothing_is_asked_when_no_time_is_left() -> None:
    reading = FakeReading({"2": [DeadlineExceeded("late")]}, takes_s=100)
    with pytest.raises(DeadlineExceeded):
        await answered(reading, deadline_s=60)
    assert [version for version, _ in reading.asked] == ["2"]


async def test_a_result_says_research_only_as_the_gate_says_now() -> None:
    cleared = replace(CHAMPION, research_only=False)
    found = await answered(FakeReading({}), a_snapshot(cleared))
    assert not found.inference.prediction.stamp.research_only
