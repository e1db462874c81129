"""A study's record holds its pseudonym and what took how long, also when it failed, and of a shadow what it read."""

from __future__ import annotations

from dataclasses import replace

from core.codec import from_json, to_json
from core.errors import ModelFailed, SerinusError, UnsupportedSeries
from observability.names import Stage
from observability.record import InputFacts, Outcome, StageTiming, StudyTrace
from observability.redaction import Pseudonymiser
from serve_apps.application.analyse_study import Progress
from serve_apps.application.messages import FetchedStudy, GpuLoad, Inference
from serve_apps.application.study_traces import StudyTraces
from tests.unit.shell.builders import a_prediction
from tests.unit.shell.shadows import a_claim
from tests.unit.shell.worker_fakes import a_job, a_study

KEYS = Pseudonymiser(b"k" * 32)
TRACES = StudyTraces(KEYS, "site")
JOB = a_job()
QUEUE, FETCH = StageTiming(Stage.QUEUE, 100, 200), StageTiming(Stage.FETCH, 200, 300)


def failed(error: SerinusError, progress: Progress) -> StudyTrace:
    return TRACES.failed(JOB, error, (QUEUE,), progress)


def test_a_study_that_was_never_fetched_has_a_record() -> None:
    trace = failed(UnsupportedSeries("no series"), Progress())
    assert (trace.outcome, trace.error_code) == (Outcome.REFUSED, "no-eligible-series")
    assert (trace.start_ns, trace.end_ns, trace.stages) == (100, 200, (QUEUE,))


def test_a_study_that_its_model_failed_shows_how_far_it_came() -> None:
    study = replace(a_study(), stages=(FETCH,))
    trace = failed(ModelFailed("NaN"), Progress(study=study))
    assert (trace.outcome, trace.end_ns, trace.stages) == (Outcome.FAILED, 300, (QUEUE, FETCH))


def test_a_record_names_the_study_by_its_pseudonym_only() -> None:
    trace = failed(ModelFailed("NaN"), Progress())
    assert trace.study_key == KEYS.study(JOB.study.study_uid)
    assert JOB.study.study_uid not in str(trace)


def test_a_shadow_has_a_record_of_its_own_and_is_no_study() -> None:
    task = a_claim()
    trace = TRACES.shadow(task, (100, 300), error_code="model-error")
    assert not trace.is_live
    assert (trace.outcome, trace.start_ns, trace.end_ns) == (Outcome.FAILED, 100, 300)
    (record,) = trace.records
    assert (record.role, record.version, record.delivered) == (task.role, task.version, False)


def test_a_clock_that_was_set_back_meanwhile_breaks_no_shadow() -> None:
    trace = TRACES.shadow(a_claim(), (300, 100), error_code="model-error")
    assert trace.start_ns <= trace.end_ns


def test_a_record_is_read_as_it_was_written() -> None:
    for trace in (failed(ModelFailed("NaN"), Progress()), TRACES.shadow(a_claim(), (1, 2), error_code="x")):
        assert from_json(StudyTrace, to_json(StudyTrace, trace)) == trace


def test_the_trace_of_a_study_has_one_id_and_its_shadows_have_others() -> None:
    live = failed(ModelFailed("NaN"), Progress())
    shadow, other = (TRACES.shadow(a_claim(version=one), (1, 2), error_code="x") for one in ("2", "3"))
    ids = {live.trace_id, replace(live, outcome=Outcome.REFUSED).trace_id, shadow.trace_id, other.trace_id}
    assert len(ids) == 3
    assert all(len(one) == 32 and int(one, 16) for one in ids)


def test_a_record_says_who_shared_the_forward_and_how_busy_the_gpu_was() -> None:
    forward = (StageTiming(Stage.FORWARD, 100, 200),)
    inference = Inference(a_prediction(), forward, "cuda:0", batch_size=4, gpu=GpuLoad(0.5, None))
    (record,) = TRACES.shadow(a_claim(), (100, 300), a_study(), inference).records
    assert (record.batch_size, record.gpu_busy, record.gpu_memory) == (4, 0.5, None)
    (record,) = TRACES.shadow(
        a_claim(), (100, 300), a_study(), replace(inference, batch_size=1, gpu=None)
    ).records
    assert (record.batch_size, record.gpu_busy, record.gpu_memory) == (1, None, None)


def test_a_failure_says_at_which_stage_and_lasts_until_it_was_noted() -> None:
    progress = Progress()
    progress.stage = Stage.FETCH
    trace = TRACES.failed(JOB, ModelFailed("NaN"), (QUEUE,), progress, ended_ns=900)
    assert (trace.failed_at, trace.end_ns) == (Stage.FETCH, 900)


def test_a_record_names_the_span_of_the_jobs_caller() -> None:
    called = replace(JOB, traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    assert TRACES.failed(called, ModelFailed("NaN"), (QUEUE,), Progress()).traceparent == called.traceparent


def test_of_a_header_words_and_a_decade_are_kept_and_no_sentence() -> None:
    study = replace(
        a_study(
            age_years=67.4,
            sex="F",
            manufacturer="Müller^Anna *1950-01-01*" * 9,
            kernel="H31s\\3",
            exposure=(("kvp", 120.0),),
        ),
        signals=(("noise_hu", 4.2),),
        grid=(512, 512),
    )
    facts = facts_of(study)
    assert (facts.age, facts.sex, facts.kernel, facts.rows) == ("60-69", "F", "H31S 3", 512)
    assert facts.signals == (("kvp", 120.0), ("noise_hu", 4.2))
    assert len(facts.manufacturer) <= 32
    assert facts_of(a_study(age_years=95.2)).age == "80+"
    assert facts_of(a_study(sex="Anna")).sex == ""


def facts_of(study: FetchedStudy) -> InputFacts:
    facts = TRACES.shadow(a_claim(), (1, 2), study).records[0].facts
    assert facts is not None
    return facts
