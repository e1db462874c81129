"""The study reader's deployment: the volume of a study enters Ray's object store once."""

from __future__ import annotations

import ray
from ray import serve

from core.private_files import write_privately
from observability.event_log import configure_logging
from serve_apps.adapters.guarded_fetcher import guarded_fetcher
from serve_apps.application.messages import FetchedStudy, FetchRequest
from serve_apps.settings import Settings


@serve.deployment(
    max_ongoing_requests=200,  # above what the reader does at a time, so that its own order holds, not Serve's
    ray_actor_options={"num_cpus": 0.1},
    health_check_period_s=5,
    max_surge_percent=100,
)
class StudyReader:
    """Reads studies: a `FetchRequest` in, a `FetchedStudy` with an ObjectRef to a `Volume` out.

    What it reads may be meant to harm: it is the process that ends when memory runs short, before all others.
    """

    def __init__(self, settings: Settings) -> None:
        write_privately()
        configure_logging("INFO")
        self._fetcher = guarded_fetcher(settings, ray.put, settings.reads_per_reader)

    async def fetch(self, request: FetchRequest) -> FetchedStudy:
        """Fetch one study. Raises SourceError and StudyError; neither text holds a patient datum."""
        return await self._fetcher.fetch(request)

    async def answer(self) -> None:
        """Tell that this process could read."""

    async def __del__(self) -> None:
        if hasattr(self, "_fetcher"):  # its constructor may have failed
            await self._fetcher.aclose()
