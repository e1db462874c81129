"""What the use cases need of the outside: ports, so that they can be tested without a cluster."""

from __future__ import annotations

from typing import Protocol

from core.priority import QueueOrder
from serve_apps.application.messages import FetchedStudy, FetchRequest, Inference, ServedVersion


class InferencePort(Protocol):
    """Study reader and model versions, wherever they run. All raise SerinusError, at latest after `deadline_s`."""

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy: ...

    async def predict(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float, order: QueueOrder
    ) -> Inference: ...

    async def predict_when_idle(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float
    ) -> Inference:
        """Predict on cores that no live study wants, for a version that answers nobody."""
        ...
