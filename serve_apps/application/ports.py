"""What reading a study needs of the outside: a port, so that the use case can be tested without a cluster."""

from __future__ import annotations

from typing import Protocol

from serve_apps.application.messages import Answer, FetchedStudy, FetchRequest, ServedVersion


class InferencePort(Protocol):
    """Reader and model versions, wherever they run. All raise SerinusError, at the latest after `deadline_s`."""

    async def read(self, request: FetchRequest, deadline_s: float) -> FetchedStudy: ...

    async def answer(self, version: ServedVersion, study: FetchedStudy, deadline_s: float) -> Answer: ...

    async def predict_when_idle(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float
    ) -> Answer:
        """The same on cores that no live study wants, for a version that answers nobody."""
        ...
