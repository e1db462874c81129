"""AfterJob over Serve handles: the Outbox is told to deliver, the ShadowWorker that a study lies there to be read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final, TypeVar

from core.errors import SerinusError
from ledger import FINISHED, JobState
from serve_apps.adapters.serve_calls import call
from serve_apps.application.loans import Loan
from serve_apps.application.messages import FetchedStudy, JobOutcome
from serve_apps.application.watched_jobs import WatchedJobs

logger = logging.getLogger("serinus.jobs")
DELIVER_S: Final = 600.0
NOTIFY_S: Final = 10.0
T = TypeVar("T")


class ServeAfterJob:
    """Has other deployments do what follows a job.

    Nothing here blocks or raises: what is not told is found in the ledger.

    A study is passed on with its loan, which the ShadowWorker then gives back; `drop` gives back one that did not
    arrive.
    """

    def __init__(
        self, watched: WatchedJobs, outbox: Any, shadow_worker: Any, drop: Callable[[Loan], None]
    ) -> None:
        self._watched = watched
        self._outbox = outbox.options(_by_reference=False)
        self._shadow_worker = shadow_worker.options(_by_reference=True)  # a header may be too large for gRPC
        self._drop = drop
        self._telling: set[asyncio.Task[None]] = set()
        self._delivering: dict[str, asyncio.Task[JobState | None]] = {}

    def to_deliver(self, job_id: str) -> None:
        delivering = asyncio.create_task(self._tell(self._deliver(job_id)))
        self._delivering[job_id] = delivering
        delivering.add_done_callback(lambda _: self._delivering.pop(job_id, None))

    async def delivered(self, outcome: JobOutcome, within_s: float | None) -> JobOutcome:
        """The outcome as it stands when the job's deliveries were attempted, or after `within_s`.

        Whoever waits for the job then need neither watch for its end nor read it again. None: nobody waits.
        """
        delivering = self._delivering.get(outcome.job_id)
        if delivering is None or not within_s or outcome.state is not JobState.STORING:
            return outcome
        await asyncio.wait([delivering], timeout=within_s)
        state = delivering.result() if delivering.done() and not delivering.cancelled() else None
        return replace(outcome, state=state) if state in FINISHED else outcome

    def to_shadow(self, job_id: str, study: FetchedStudy) -> None:
        self._begin(self._notify(job_id, study))

    def ended(self, job_id: str) -> None:
        self._begin(self._watched.ended(job_id))

    async def _deliver(self, job_id: str) -> JobState:
        state: JobState = await call(self._outbox.deliver, job_id, deadline_s=DELIVER_S)
        if state in FINISHED:
            self.ended(job_id)
        return state

    async def _notify(self, job_id: str, study: FetchedStudy) -> None:
        loan = study.volume.pass_on()
        try:
            await call(self._shadow_worker.notify, job_id, replace(study, volume=loan), deadline_s=NOTIFY_S)
        except BaseException:
            self._drop(loan)
            raise

    def _begin(self, telling: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._tell(telling))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, telling: Coroutine[Any, Any, T]) -> T | None:
        try:
            return await telling
        except SerinusError as error:
            logger.info("jobs.not_told", extra={"error": error.code})
        except Exception as error:  # noqa: BLE001 - the deployment may be starting, or gone for the moment
            logger.warning("jobs.not_told", extra={"error": type(error).__name__})
        return None
