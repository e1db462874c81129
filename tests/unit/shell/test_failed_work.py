"""A reading that failed tells what it kept busy: what its replica knows, else from when to when it was asked."""

from __future__ import annotations

import pickle
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from ray.exceptions import RayTaskError

from canary.assignment import StudyFacts, assign
from canary.fallback import Failure
from core.errors import DeadlineExceeded, ModelFailed, ModelUnavailable, SerinusError, UnsupportedSeries
from observability.cost.events import Usage
from observability.cost.from_record import usages_of
from observability.names import Stage
from observability.record import Outcome, StageTiming
from serve_apps.adapters.serve_calls import core_error
from serve_apps.application.analyse_study import Progress
from serve_apps.application.decisions import RoutedStudy
from serve_apps.application.failed_work import (
    NO_WORK,
    FailedWork,
    with_work,
    with_work_at,
    work_of,
)
from serve_apps.application.predict_with_fallback import VariantFailure
from serve_apps.application.study_traces import StudyTraces
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.shadows import a_claim
from tests.unit.shell.test_model_replica import Bench, until
from tests.unit.shell.test_predict_with_fallback import CANARY, CHAMPION, Versions, answered
from tests.unit.shell.test_serve_inference import FIRST, Method, held_study, inference_port
from tests.unit.shell.test_study_traces import KEYS, TRACES, failed
from tests.unit.shell.worker_fakes import a_study

FORWARD = StageTiming(Stage.FORWARD, 100, 300, "model-error")
FETCH = StageTiming(Stage.FETCH, 10, 90, replica="reader")
AT = datetime(2026, 1, 1, tzinfo=UTC)


async def work_told(bench: Bench, value: int) -> tuple[SerinusError, FailedWork]:
    task = bench.start(value)
    with pytest.raises(SerinusError) as caught:
        await task
    return caught.value, work_of(caught.value)


async def test_a_replica_tells_the_stages_of_a_study_that_failed_at_it() -> None:
    bench = Bench()
    bench.device.bad_values = {7}
    error, work = await work_told(bench, 7)
    assert isinstance(error, ModelFailed)
    assert [(one.stage, one.error_code) for one in work.stages] == [
        (Stage.PREPARE, None),
        (Stage.WAIT, None),
        (Stage.FORWARD, "model-error"),
    ]
    bench.release()


async def test_who_was_sent_away_for_the_sake_of_another_has_only_waited() -> None:
    bench = Bench()
    bench.device.held = {0: threading.Event()}
    stuck = bench.start(0)
    await until(bench.device.began.is_set)
    waits = bench.start(1)
    await until(lambda: bench.replica.waiting == 1)
    bench.clock.now = 301
    with pytest.raises(RuntimeError):
        await bench.replica.check_health()
    told = []
    for task in (stuck, waits):
        with pytest.raises(SerinusError) as caught:
            await task
        told.append([one.stage for one in work_of(caught.value).stages])
    assert told == [[Stage.PREPARE, Stage.FORWARD], [Stage.PREPARE]]
    bench.release()


def test_what_an_error_tells_of_work_comes_through_a_call_and_is_of_one_study_only() -> None:
    shared = ModelUnavailable("gone")
    one, other = with_work(shared, (FORWARD,)), with_work(shared, ())
    raised = pickle.loads(pickle.dumps(with_work_at(one, "replica-7")))
    arrived = core_error(RayTaskError("predict", "", raised))
    assert work_of(arrived) == FailedWork((replace(FORWARD, replica="replica-7"),))
    assert (work_of(shared), work_of(other), work_of(KeyError())) == (NO_WORK, NO_WORK, NO_WORK)
    assert (str(arrived), type(arrived)) == ("gone", ModelUnavailable)


async def test_of_a_call_without_an_answer_the_time_is_known_and_not_the_replica() -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        await inference_port(Method(None)).predict(a_version(), held_study(), 0.02, FIRST)
    (timing,) = work_of(caught.value).stages
    assert (timing.stage, timing.error_code, timing.replica) == (Stage.FORWARD, DeadlineExceeded.code, "")
    assert timing.end_ns - timing.start_ns >= 10**7


async def test_an_answer_that_refuses_a_study_before_it_worked_tells_of_no_work() -> None:
    with pytest.raises(ModelUnavailable) as caught:
        await inference_port(Method(ModelUnavailable("gone"))).predict(a_version(), held_study(), 5, FIRST)
    assert work_of(caught.value) == NO_WORK


async def test_what_a_canary_did_for_nothing_is_told_with_its_failure() -> None:
    outcome = await answered(Versions({"2": [with_work(ModelFailed("NaN"), (FORWARD,))]}))
    (one,) = outcome.failures
    assert one.work.stages == (FORWARD,)


def routed() -> RoutedStudy:
    snapshot = a_snapshot(CHAMPION, canary=CANARY, weight_bp=10_000)
    table = snapshot.table("ich-triage")
    return RoutedStudy("ich-triage", assign(StudyFacts("st-1", "pt-1"), table), 1, AT)


def test_all_tries_of_a_version_stand_in_its_record_and_are_paid_where_they_were() -> None:
    """One whose replica told of it, and one that nobody answered; the fetch is the reader's work."""
    study, variant = routed(), routed().assignment.variant
    late = StageTiming(Stage.FORWARD, 400, 900, "deadline-exceeded")
    tries = [
        VariantFailure(variant, Failure.ERROR, "model-error", True, FailedWork((FORWARD,)).at("r-7")),
        VariantFailure(variant, Failure.TIMEOUT, "deadline-exceeded", True, FailedWork((late,))),
    ]
    progress = Progress(study=replace(a_study(), stages=(FETCH,)), routed=study, failures=tries)
    trace = failed(DeadlineExceeded("late"), progress)
    (record,) = trace.records
    assert (record.role, record.error_code, len(record.stages)) == ("failed", "deadline-exceeded", 2)
    usages = [event for event in usages_of(trace) if isinstance(event, Usage)]
    assert [(one.resource, one.stage, one.start_ns) for one in usages] == [
        ("r-7", Stage.FORWARD, 100),
        ("", Stage.FORWARD, 400),
        ("reader", Stage.FETCH, 10),
    ]
    assert {one.reading.outcome for one in usages} == {Outcome.FAILED}


def test_a_study_that_no_version_was_asked_for_still_pays_for_its_fetch() -> None:
    trace = failed(UnsupportedSeries("no series"), Progress(study=replace(a_study(), stages=(FETCH,))))
    (usage,) = usages_of(trace)
    assert isinstance(usage, Usage)
    assert (usage.reading.model, usage.reading.outcome) == ("", Outcome.REFUSED)


def test_a_shadow_that_failed_is_paid_as_one() -> None:
    trace = TRACES.shadow(a_claim(), (1, 2), error_code="x", work=FailedWork((FORWARD,)).at("r-7"))
    (usage,) = usages_of(trace)
    assert isinstance(usage, Usage)
    assert (usage.resource, usage.reading.mode.value) == ("r-7", "silent")


def test_the_report_is_written_by_the_worker_that_tells_of_it() -> None:
    traces = StudyTraces(KEYS, "site", "worker-3")
    report = StageTiming(Stage.REPORT, 5, 9)
    assert traces._at_this_replica((report, FORWARD)) == (replace(report, replica="worker-3"), FORWARD)
