"""What reading a study needs of the outside: a port, so that the use case can be tested without a cluster."""

from __future__ import annotations

from typing import Protocol

from serve_apps.messages import Answer, ReadRequest, ReadStudy, ServedVersion


class StudyReading(Protocol):
    """Reader and model versions, wherever they run. All raise SerinusError, at the latest after `deadline_s`."""

    async def read(self, request: ReadRequest, deadline_s: float) -> ReadStudy: ...

    async def answer(self, version: ServedVersion, study: ReadStudy, deadline_s: float) -> Answer: ...

    async def answer_when_idle(self, version: ServedVersion, study: ReadStudy, deadline_s: float) -> Answer:
        """The same on cores that no live study wants, for a version that answers nobody."""
        ...
