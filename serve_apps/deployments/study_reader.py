"""The study reader's deployment: the volume of a study enters Ray's object store once."""

from __future__ import annotations

import ray
from ray import serve

from core.private_files import write_privately
from observability.event_log import configure_logging
from serve_apps.adapters.archives import Archives
from serve_apps.adapters.cpu_priority import lower_priority
from serve_apps.adapters.memory_guard import FIRST_OF_ALL, guard_memory, offer_to_the_oom_killer
from serve_apps.application.fetch_study import StudyFetcher
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
        guard_memory(settings.reader_memory_bytes)
        offer_to_the_oom_killer(FIRST_OF_ALL)
        lower_priority()
        self._fetcher = StudyFetcher(
            Archives(settings), ray.put, settings.reads_per_reader, settings.pixel_limits
        )

    async def fetch(self, request: FetchRequest) -> FetchedStudy:
        """Fetch one study. Raises SourceError and StudyError; neither text holds a patient datum."""
        return await self._fetcher.fetch(request)

    async def __del__(self) -> None:
        if hasattr(self, "_fetcher"):  # its constructor may have failed
            await self._fetcher.aclose()
