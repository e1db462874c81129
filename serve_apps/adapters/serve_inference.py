"""InferencePort over Ray Serve handles: the study reader's, and one per application of a model version.

All calls go by gRPC, which costs a third of a call through Ray's object store. Only an answer with a mask, which is
as large as its volume, takes the other way.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, Final, Protocol

from ray import serve

from core.errors import (
    DeadlineExceeded,
    ModelUnavailable,
    Overloaded,
    StudyEvicted,
    WorkerLost,
)
from core.priority import QueueOrder
from models.spec import ModelSpec, Task
from serve_apps.adapters.serve_calls import call
from serve_apps.adapters.shared_objects import open_packed
from serve_apps.application.failed_work import without_answer
from serve_apps.application.fetch_with_fallback import Reader
from serve_apps.application.loans import Borrower, Loan
from serve_apps.application.messages import FetchedStudy, FetchRequest, Inference, ServedVersion

logger = logging.getLogger("serinus.inference")
ANSWER_S: Final = 60.0
NO_ANSWER: Final = (DeadlineExceeded, WorkerLost)


class ReaderHandle(Protocol):
    """A handle of StudyReader."""

    def options(self, *, _by_reference: bool) -> ReaderHandle: ...

    @property
    def fetch(self) -> Any: ...

    @property
    def answer(self) -> Any: ...


class ModelHandle(Protocol):
    """A handle of one version's ModelServer."""

    def options(self, *, _by_reference: bool) -> ModelHandle: ...

    @property
    def predict(self) -> Any: ...

    @property
    def predict_when_idle(self) -> Any: ...


def serve_handle(app_name: str) -> ModelHandle:
    """A handle of the application's ModelServer; the first of a process takes 150 ms.

    Raises KeyError for an application that is gone.
    """
    handle: ModelHandle = serve.get_deployment_handle("ModelServer", app_name=app_name)
    return handle


class ServeReader:
    """Calls the study reader. `open_loan` gives the object behind a loan's packed reference, in the `executor`."""

    def __init__(
        self,
        handle: ReaderHandle,
        borrower: Borrower,
        executor: Executor | None = None,
        open_loan: Callable[[bytes], Any] = open_packed,
    ) -> None:
        self._handle = handle.options(_by_reference=False)
        self._borrower = borrower
        self._executor = executor
        self._open_loan = open_loan

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy:
        """Have the study reader fetch; the volume is lent.

        A wait in its queue ends as Overloaded, tried again: no fault of the source. Raises ReplicaDied when the
        process ended while it read the study, perhaps among others.
        """
        try:
            answer: FetchedStudy | Loan = await call(self._handle.fetch, request, deadline_s=deadline_s)
        except DeadlineExceeded:
            raise Overloaded("the study reader did not come to the study in time") from None
        return await self._taken_out(answer) if isinstance(answer, Loan) else answer

    async def answer(self) -> None:
        await call(self._handle.answer, deadline_s=ANSWER_S)

    async def _taken_out(self, loan: Loan) -> FetchedStudy:
        """An answer that was too large for a message."""
        borrowed = self._borrower.borrow(loan)
        loop = asyncio.get_running_loop()
        study: FetchedStudy = await loop.run_in_executor(
            self._executor, self._open_loan, borrowed.loan.packed
        )
        return study


class ServeInference:
    """Calls the reader of studies and the versions' own applications. The volume travels as a loan.

    `executor` makes the handles, which takes too long for an event loop.
    """

    def __init__(
        self,
        reader: Reader,
        borrower: Borrower,
        executor: Executor | None = None,
        open_handle: Callable[[str], ModelHandle] = serve_handle,
    ) -> None:
        self._reader = reader
        self._borrower = borrower
        self._executor = executor
        self._open_handle = open_handle
        self._handles: dict[str, ModelHandle] = {}

    @property
    def applications(self) -> Collection[str]:
        """The applications whose handle is there."""
        return self._handles.keys()

    async def prepare(self, endpoints: Mapping[str, ServedVersion]) -> Collection[str]:
        """Make the handles that a snapshot needs, and forget those of versions that are gone.

        A handle that cannot be made is tried again when the version is asked; returns those applications.
        """
        for app_name in self._handles.keys() - endpoints.keys():
            del self._handles[app_name]
        loop = asyncio.get_running_loop()
        missing = sorted(endpoints.keys() - self._handles.keys())
        await asyncio.gather(
            *(
                loop.run_in_executor(self._executor, self._try_to_open, endpoints[app_name])
                for app_name in missing
            )
        )
        return [app_name for app_name in missing if app_name not in self._handles]

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy:
        return self.borrowed(await self._reader.fetch(request, deadline_s))

    def borrowed(self, study: FetchedStudy) -> FetchedStudy:
        """A study that came with a loan, as this process holds it."""
        return replace(study, volume=self._borrower.borrow(study.volume))

    async def predict(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float, order: QueueOrder
    ) -> Inference:
        return await self._ask(self._handle(version).predict, (study.volume.loan, order), deadline_s)

    async def predict_when_idle(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float
    ) -> Inference:
        return await self._ask(self._handle(version).predict_when_idle, (study.volume.loan,), deadline_s)

    async def _ask(self, method: Any, arguments: tuple[Any, ...], deadline_s: float) -> Inference:
        """Call a replica of the version.

        Predicting is idempotent: a replica that is lost under it is replaced once within the deadline.
        """
        begun_ns, end = time.time_ns(), asyncio.get_running_loop().time() + deadline_s
        try:
            try:
                inference: Inference = await call(method, *arguments, deadline_s=deadline_s)
            except StudyEvicted:
                raise
            except WorkerLost:
                left_s = end - asyncio.get_running_loop().time()
                inference = await call(method, *arguments, deadline_s=left_s)
        except NO_ANSWER as error:
            if isinstance(error, StudyEvicted):
                raise
            raise without_answer(error, begun_ns, time.time_ns()) from None
        return inference

    def _handle(self, version: ServedVersion) -> ModelHandle:
        app_name = version.app_name
        if app_name not in self._handles:
            try:
                self._open(version)
            except KeyError:
                raise ModelUnavailable("the version's application is gone") from None
        return self._handles[app_name]

    def _try_to_open(self, version: ServedVersion) -> None:
        try:
            self._open(version)
        except KeyError:
            logger.warning("inference.handle_missing", extra={"app": version.app_name})

    def _open(self, version: ServedVersion) -> None:
        handle = self._open_handle(version.app_name)
        self._handles[version.app_name] = handle.options(_by_reference=answers_are_large(version.spec))


def answers_are_large(spec: ModelSpec) -> bool:
    """A mask has as many voxels as the volume, and Serve's gRPC takes no message above 4 MiB."""
    return spec.output.task is Task.SEGMENTATION
