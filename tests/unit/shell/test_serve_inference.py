"""Ray's errors become ours: a lost worker is tried again, and no foreign text gets out."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
import ray.exceptions
import ray.serve.exceptions
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    ActorUnschedulableError,
    AsyncioActorExit,
    LocalRayletDiedError,
    NodeDiedError,
    ObjectFetchTimedOutError,
    ObjectFreedError,
    ObjectLostError,
    ObjectStoreFullError,
    OutOfDiskError,
    OutOfMemoryError,
    OwnerDiedError,
    RayError,
    RaySystemError,
    RayTaskError,
    ReferenceCountingAssertionError,
    RpcError,
    RuntimeEnvSetupError,
    TaskCancelledError,
    WorkerCrashedError,
)
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    ReplicaUnavailableError,
    RequestCancelledError,
)

from core.errors import (
    DeadlineExceeded,
    ModelUnavailable,
    Overloaded,
    ReplicaDied,
    SerinusError,
    SourceTimeout,
    StudyEvicted,
    WorkerLost,
)
from core.priority import Priority, queue_order
from core.retry import Attempts, FailureClass, RetryPolicy, after_failure
from core.study import StudyRef
from imaging.finding import Code
from models.spec import OutputSpec, Task
from serve_apps.adapters.serve_calls import call, core_error
from serve_apps.adapters.serve_inference import ServeInference, ServeReader
from serve_apps.application.loans import Borrower, Loan
from serve_apps.application.messages import FetchedStudy, FetchRequest, Inference
from tests.unit.shell.builders import a_prediction, a_version
from tests.unit.shell.worker_fakes import a_study

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = queue_order(Priority.STAT, NOW)
OBJECT = "ab" * 28
INFERENCE = Inference(a_prediction(), (), "cpu")
LOAN = Loan("loan-1", "StudyReader", b"packed")
STUDY = replace(a_study(), volume=LOAN)  # as a reader sends it
REQUEST = FetchRequest(StudyRef("pacs", "1.2"), (), FIRST, deadline_s=1.0)

LOST: dict[Callable[[], BaseException], type[SerinusError]] = {
    ActorDiedError: ReplicaDied,
    ActorUnavailableError: ReplicaDied,
    lambda: ActorUnavailableError("the node does not answer", None): ReplicaDied,
    lambda: OutOfMemoryError("killed by the memory monitor"): ReplicaDied,
    lambda: NodeDiedError("the node is gone"): ReplicaDied,
    WorkerCrashedError: ReplicaDied,
    LocalRayletDiedError: WorkerLost,
    TaskCancelledError: WorkerLost,
    RequestCancelledError: WorkerLost,
    AsyncioActorExit: WorkerLost,
    lambda: RaySystemError("no answer from the raylet"): WorkerLost,
    lambda: RpcError("unreachable", 14): WorkerLost,
    lambda: ObjectStoreFullError("full"): WorkerLost,
    lambda: OutOfDiskError("full"): WorkerLost,
    grpc.RpcError: WorkerLost,
    lambda: ReplicaUnavailableError("replica"): WorkerLost,
    lambda: ObjectLostError(OBJECT, None, ""): StudyEvicted,
    lambda: OwnerDiedError(OBJECT, None, ""): StudyEvicted,
    lambda: ObjectFreedError(OBJECT, None, ""): StudyEvicted,
    lambda: ObjectFetchTimedOutError(OBJECT, None, ""): StudyEvicted,
    lambda: ReferenceCountingAssertionError(OBJECT, None, ""): StudyEvicted,
    lambda: BackPressureError(9, 8): Overloaded,
    lambda: DeploymentUnavailableError(None): ModelUnavailable,
    lambda: ActorUnschedulableError("no such resource"): ModelUnavailable,
    lambda: RuntimeEnvSetupError("pip failed"): ModelUnavailable,
}


def made(make: Callable[[], BaseException]) -> BaseException:
    try:
        return make()
    except TypeError:  # the class wants arguments that do not matter here
        assert inspect.isclass(make)
        return make.__new__(make)


@pytest.mark.parametrize(("make", "expected"), LOST.items())
@pytest.mark.parametrize("is_raised_inside", [False, True])
def test_every_way_to_lose_a_worker_is_tried_again_and_costs_no_attempt(
    make: Callable[[], BaseException], expected: type[SerinusError], is_raised_inside: bool
) -> None:
    error = made(make)
    mapped = core_error(RayTaskError("predict", "a traceback", error) if is_raised_inside else error)
    assert type(mapped) is expected
    decision = after_failure(mapped.failure, Attempts(0, 0, None), NOW, RetryPolicy())
    assert decision.at is not None
    assert not decision.counts


def test_no_class_of_ray_s_own_exceptions_ends_a_job() -> None:
    kinds = [
        kind
        for module in (ray.exceptions, ray.serve.exceptions)
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, RayError | ray.serve.exceptions.RayServeException)
    ]
    assert len(kinds) > 30
    for kind in kinds:
        if not issubclass(kind, RayTaskError):
            assert core_error(kind.__new__(kind)).failure is not FailureClass.PERMANENT, kind


def test_our_own_error_stays_what_it_was() -> None:
    error = SourceTimeout("the PACS is slow")
    assert core_error(RayTaskError("fetch", "a traceback", error)) is error


def test_a_foreign_error_s_text_does_not_get_out() -> None:
    mapped = core_error(RayTaskError("predict", "a traceback", ValueError("DOE^JOHN")))
    assert "DOE" not in str(mapped)
    assert "ValueError" in str(mapped)


class Response:
    """What a handle's method returns; never answers when `outcome` is None."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def __await__(self) -> Any:
        if self.outcome is None:
            yield from asyncio.get_running_loop().create_future()
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome
        yield


class Method:
    """A method of a handle that answers with `outcomes` in turn."""

    def __init__(self, *outcomes: Any) -> None:
        self.responses = [Response(outcome) for outcome in outcomes]
        self.calls: list[tuple[Any, ...]] = []

    def remote(self, *arguments: Any) -> Response:
        self.calls.append(arguments)
        return self.responses[len(self.calls) - 1]


class Handle:
    """A handle whose every method is `method`; remembers how what it sends travels."""

    def __init__(self, method: Method) -> None:
        self.fetch = self.answer = self.predict = self.predict_when_idle = method
        self.by_reference: bool | None = None

    def options(self, *, _by_reference: bool) -> Handle:
        self.by_reference = _by_reference
        return self


class Readers:
    """The study readers, which hear what is given back."""

    def __init__(self) -> None:
        self.given_back: list[str] = []

    async def __call__(self, lender: str, ids: tuple[str, ...]) -> None:
        self.given_back += ids


def held_study() -> FetchedStudy:
    """A study as the port's caller holds it."""
    return replace(STUDY, volume=Borrower(Readers()).borrow(LOAN))


async def test_a_call_that_takes_too_long_is_cancelled() -> None:
    method = Method(None)
    with pytest.raises(DeadlineExceeded):
        await call(method, deadline_s=0.001)
    assert method.responses[0].is_cancelled


async def test_a_call_is_cancelled_with_its_caller() -> None:
    method = Method(None)
    calling = asyncio.create_task(call(method, deadline_s=60))
    await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert method.responses[0].is_cancelled


async def test_a_call_that_was_cancelled_where_it_ran_is_a_lost_worker() -> None:
    with pytest.raises(WorkerLost):
        await call(Method(asyncio.CancelledError()), deadline_s=60)


async def test_nothing_is_called_when_no_time_is_left() -> None:
    method = Method(INFERENCE)
    with pytest.raises(DeadlineExceeded):
        await call(method, deadline_s=0)
    assert method.calls == []


def inference_port(predict: Method, fetch: Method | None = None) -> ServeInference:
    borrower = Borrower(Readers())
    reader = ServeReader(Handle(fetch or Method()), borrower)
    return ServeInference(reader, borrower, open_handle=lambda _: Handle(predict))


async def test_a_replica_that_dies_under_a_study_is_replaced_once() -> None:
    method = Method(made(ActorDiedError), INFERENCE)
    assert await inference_port(method).predict(a_version(), held_study(), 60, FIRST) is INFERENCE
    assert method.calls == [(LOAN, FIRST)] * 2


async def test_a_study_that_left_the_object_store_is_not_asked_for_twice() -> None:
    method = Method(ObjectLostError(OBJECT, None, ""))
    with pytest.raises(StudyEvicted):
        await inference_port(method).predict(a_version(), held_study(), 60, FIRST)
    assert len(method.calls) == 1


async def test_a_long_wait_for_the_study_reader_is_no_fault_of_the_source_and_is_waited_for() -> None:
    request = FetchRequest(StudyRef("pacs", "1.2"), (), FIRST, deadline_s=0.001)
    with pytest.raises(Overloaded) as raised:
        await inference_port(Method(), Method(None)).fetch(request, 0.002)
    decision = after_failure(raised.value.failure, Attempts(0, 0, None), NOW, RetryPolicy())
    assert decision.at is not None
    assert not decision.counts


@pytest.mark.parametrize("make", [ActorDiedError, WorkerCrashedError, lambda: OutOfMemoryError("killed")])
async def test_a_reader_that_died_under_a_study_is_told_apart(make: Callable[[], BaseException]) -> None:
    with pytest.raises(ReplicaDied):
        await inference_port(Method(), Method(made(make))).fetch(REQUEST, 2.0)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), ReplicaUnavailableError("replaced")])
async def test_a_reader_that_was_replaced_makes_no_study_a_suspect(error: BaseException) -> None:
    with pytest.raises(WorkerLost) as raised:
        await inference_port(Method(), Method(error)).fetch(REQUEST, 2.0)
    assert not isinstance(raised.value, ReplicaDied)


async def test_handles_follow_the_snapshot() -> None:
    opened: list[str] = []

    def open_handle(app_name: str) -> Handle:
        opened.append(app_name)
        if app_name.endswith("-3"):
            raise KeyError(app_name)
        return Handle(Method())

    reader, borrower = ServeReader(Handle(Method()), Borrower(Readers())), Borrower(Readers())
    port = ServeInference(reader, borrower, open_handle=open_handle)
    first, second, third = (a_version(number) for number in "123")
    await port.prepare({v.app_name: v for v in (first, second)})
    await port.prepare({v.app_name: v for v in (second, third)})
    assert opened == [first.app_name, second.app_name, third.app_name]
    assert set(port.applications) == {second.app_name}
    with pytest.raises(ModelUnavailable):
        await port.predict(third, held_study(), 60, FIRST)


async def test_a_volume_is_given_back_when_nobody_holds_the_study_any_more() -> None:
    readers = Readers()
    borrower = Borrower(readers)
    port = ServeInference(ServeReader(Handle(Method(STUDY)), borrower), borrower)
    study = await port.fetch(REQUEST, 2.0)
    await borrower.give_back()
    assert readers.given_back == []
    del study
    await borrower.give_back()
    assert readers.given_back == ["loan-1"]


async def test_an_answer_that_is_too_large_for_a_message_is_taken_out_of_the_store() -> None:
    whole, readers = Loan("loan-2", "StudyReader", b"the study"), Readers()
    borrower = Borrower(readers)
    reader = ServeReader(Handle(Method(whole)), borrower, open_loan={b"the study": STUDY}.__getitem__)
    port = ServeInference(reader, borrower)
    study = await port.fetch(REQUEST, 2.0)
    assert study.volume.loan is LOAN
    await borrower.give_back()
    assert readers.given_back == ["loan-2"], "the volume is still held"


@pytest.mark.parametrize("task", ["classification", "segmentation"])
async def test_only_answers_with_a_mask_travel_through_the_object_store(task: str) -> None:
    reader, handle, version = Handle(Method()), Handle(Method()), a_version()
    if task == "segmentation":
        output = OutputSpec(Task.SEGMENTATION, segment=Code("1", "99TEST", "mask"))
        version = replace(version, spec=replace(version.spec, output=output))
    borrower = Borrower(Readers())
    port = ServeInference(ServeReader(reader, borrower), borrower, open_handle=lambda _: handle)
    await port.prepare({version.app_name: version})
    assert (reader.by_reference, handle.by_reference) == (False, task == "segmentation")
