"""A study's trace holds its pseudonym and what took how long, also when it failed."""

from __future__ import annotations

from dataclasses import replace

from core.errors import ModelFailed, SerinusError, UnsupportedSeries
from observability.names import Stage
from observability.record import Outcome, StageTiming, StudyTrace
from observability.redaction import Pseudonymiser
from serve_apps.adapters.tracing import StudyTracer
from serve_apps.application.analyse_study import Progress
from tests.unit.shell.worker_fakes import a_job, a_study

KEYS = Pseudonymiser(b"k" * 32)
JOB = a_job()
QUEUE, FETCH = StageTiming(Stage.QUEUE, 100, 200), StageTiming(Stage.FETCH, 200, 300)


class Recorder:
    """Keeps the traces it is given."""

    def __init__(self) -> None:
        self.traces: list[StudyTrace] = []
        self.is_closed = False

    def record(self, trace: StudyTrace) -> str | None:
        self.traces.append(trace)
        return None

    async def aclose(self) -> None:
        self.is_closed = True


def failed(error: SerinusError, progress: Progress) -> StudyTrace:
    recorder = Recorder()
    StudyTracer(recorder, KEYS, "site").failed(JOB, error, (QUEUE,), progress)
    (trace,) = recorder.traces
    return trace


def test_a_study_that_was_never_fetched_has_a_trace() -> None:
    trace = failed(UnsupportedSeries("no series"), Progress())
    assert (trace.outcome, trace.error_code) == (Outcome.REFUSED, "no-eligible-series")
    assert (trace.start_ns, trace.end_ns, trace.stages) == (100, 200, (QUEUE,))


def test_a_study_that_its_model_failed_shows_how_far_it_came() -> None:
    study = replace(a_study(), stages=(FETCH,))
    trace = failed(ModelFailed("NaN"), Progress(study=study))
    assert (trace.outcome, trace.end_ns, trace.stages) == (Outcome.FAILED, 300, (QUEUE, FETCH))


def test_a_trace_names_the_study_by_its_pseudonym_only() -> None:
    trace = failed(ModelFailed("NaN"), Progress())
    assert trace.study_key == KEYS.study(JOB.study.study_uid)
    assert JOB.study.study_uid not in str(trace)


async def test_what_is_left_is_exported_at_the_end() -> None:
    recorder = Recorder()
    await StudyTracer(recorder, KEYS, "site").aclose()
    assert recorder.is_closed
