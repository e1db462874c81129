"""What reading a study needs of the outside: a port, so that the use case can be tested without a cluster."""

from __future__ import annotations

from typing import Protocol

from serve_apps.messages import Answer, ReadRequest, ReadStudy, ServedVersion


class StudyReading(Protocol):
    """Reader and model versions, wherever they run. Both raise SerinusError, at the latest after `deadline_s`."""

    async def read(self, request: ReadRequest, deadline_s: float) -> ReadStudy: ...

    async def answer(self, version: ServedVersion, study: ReadStudy, deadline_s: float) -> Answer: ...
