"""InferencePort over Ray Serve handles: the study reader's, and one per application of a model version."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
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
from serve_apps.adapters.serve_calls import call
from serve_apps.application.fetch_with_fallback import Reader
from serve_apps.application.messages import FetchedStudy, FetchRequest, Inference, ServedVersion

logger = logging.getLogger("serinus.inference")
ANSWER_S: Final = 60.0


class ReaderHandle(Protocol):
    """A handle of StudyReader."""

    @property
    def fetch(self) -> Any: ...

    @property
    def answer(self) -> Any: ...


class ModelHandle(Protocol):
    """A handle of one version's ModelServer."""

    @property
    def predict(self) -> Any: ...

    @property
    def predict_when_idle(self) -> Any: ...


def serve_handle(app_name: str) -> ModelHandle:
    """A handle of the application's ModelServer; the first of a process takes 150 ms.

    Raises KeyError for an application that is gone.
    """
    handle: ModelHandle = serve.get_deployment_handle("ModelServer", app_name=app_name).options(
        _by_reference=True
    )
    return handle


class ServeReader:
    """Calls the study reader."""

    def __init__(self, handle: ReaderHandle) -> None:
        self._handle = handle

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy:
        """Have the study reader fetch.

        A wait in its queue ends as Overloaded, tried again: no fault of the source. Raises ReplicaDied when the
        process ended while it read the study, perhaps among others.
        """
        try:
            study: FetchedStudy = await call(self._handle.fetch, request, deadline_s=deadline_s)
        except DeadlineExceeded:
            raise Overloaded("the study reader did not come to the study in time") from None
        return study

    async def answer(self) -> None:
        await call(self._handle.answer, deadline_s=ANSWER_S)


class ServeInference:
    """Calls the reader of studies and the versions' own applications. The volume travels as a reference.

    `executor` makes the handles, which takes too long for an event loop.
    """

    def __init__(
        self,
        reader: Reader,
        executor: Executor | None = None,
        open_handle: Callable[[str], ModelHandle] = serve_handle,
    ) -> None:
        self._reader = reader
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
            *(loop.run_in_executor(self._executor, self._try_to_open, app_name) for app_name in missing)
        )
        return [app_name for app_name in missing if app_name not in self._handles]

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy:
        return await self._reader.fetch(request, deadline_s)

    async def predict(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float, order: QueueOrder
    ) -> Inference:
        return await self._ask(self._handle(version).predict, (study.volume, order), deadline_s)

    async def predict_when_idle(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float
    ) -> Inference:
        return await self._ask(self._handle(version).predict_when_idle, (study.volume,), deadline_s)

    async def _ask(self, method: Any, arguments: tuple[Any, ...], deadline_s: float) -> Inference:
        """Call a replica of the version.

        Predicting is idempotent: a replica that is lost under it is replaced once within the deadline.
        """
        end = asyncio.get_running_loop().time() + deadline_s
        try:
            inference: Inference = await call(method, *arguments, deadline_s=deadline_s)
        except StudyEvicted:
            raise
        except WorkerLost:
            left_s = end - asyncio.get_running_loop().time()
            inference = await call(method, *arguments, deadline_s=left_s)
        return inference

    def _handle(self, version: ServedVersion) -> ModelHandle:
        app_name = version.app_name
        if app_name not in self._handles:
            try:
                self._handles[app_name] = self._open_handle(app_name)
            except KeyError:
                raise ModelUnavailable("the version's application is gone") from None
        return self._handles[app_name]

    def _try_to_open(self, app_name: str) -> None:
        try:
            self._handles[app_name] = self._open_handle(app_name)
        except KeyError:
            logger.warning("inference.handle_missing", extra={"app": app_name})
