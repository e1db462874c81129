"""The study reader's deployment: the volume of a study enters Ray's object store once."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import ray
from ray import serve

from core.private_files import write_privately
from observability.event_log import configure_logging
from serve_apps.adapters.guarded_fetcher import guarded_fetcher
from serve_apps.adapters.living_workers import own_worker_name
from serve_apps.adapters.shared_objects import pack
from serve_apps.application.loans import Loan, LoanBook
from serve_apps.application.messages import FetchedStudy, FetchRequest
from serve_apps.settings import Settings

MOST_BY_VALUE: Final = 2**20  # bytes of a header; Serve's gRPC takes no message above 4 MiB


@serve.deployment(
    max_ongoing_requests=200,  # above what the reader does at a time, so that its own order holds, not Serve's
    ray_actor_options={"num_cpus": 0.1},
    health_check_period_s=5,
    max_surge_percent=100,
)
class StudyReader:
    """Reads studies: a `FetchRequest` in, a `FetchedStudy` with a loan of a `Volume` out.

    What it reads may be meant to harm: it is the process that ends when memory runs short, before all others.
    """

    def __init__(self, settings: Settings) -> None:
        write_privately()
        configure_logging("INFO")
        self._name = own_worker_name()  # as the controller finds this replica, which is paid for
        self._fetcher = guarded_fetcher(settings, ray.put, settings.reads_per_reader)
        self._book = LoanBook(serve.get_replica_context().deployment, settings.volume_loan_s, pack)

    async def fetch(self, request: FetchRequest) -> FetchedStudy | Loan:
        """Fetch one study; one whose header is too large for a message is lent as a whole.

        Raises SourceError and StudyError; neither text holds a patient datum.
        """
        study = await self._fetcher.fetch(request)
        stages = tuple(replace(timing, replica=self._name) for timing in study.stages)
        lent = replace(study, volume=self._book.lend(study.volume), stages=stages)
        if len(study.context.evidence) <= MOST_BY_VALUE:
            return lent
        return self._book.lend(ray.put(lent))

    async def give_back(self, ids: tuple[str, ...]) -> None:
        """Nobody reads these loans any more."""
        self._book.give_back(ids)

    async def check_health(self) -> None:
        """Serve asks every few seconds, also when no study comes."""
        self._book.forget()

    async def answer(self) -> None:
        """Tell that this process could read."""

    async def __del__(self) -> None:
        if hasattr(self, "_fetcher"):  # its constructor may have failed
            await self._fetcher.aclose()
