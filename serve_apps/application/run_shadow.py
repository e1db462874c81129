"""Carries out the silent readings that studies owe: bounded, preemptible, from the object store or the archive.

A safety-net reading goes at once, since it may have to warn somebody; a shadow waits while live studies need the
machine. What is not done yet lies in the ledger, so a crash costs a repetition and no reading.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta

from core.clock import now
from core.errors import DeadlineExceeded, ModelUnavailable, SerinusError
from core.priority import Priority, QueueOrder, queue_order
from ledger import Audience, ClaimedShadow, LeaseLost, Ledger
from serve_apps.adapters.wakeups import Wakeup
from serve_apps.application.messages import EligibleModel, FetchedStudy, FetchRequest, ServedVersion
from serve_apps.application.ports import InferencePort
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.application.shadow import SHADOW, critical_codes, disagreements, silenced

logger = logging.getLogger("serinus.shadow")
IDLE_S = 0.2
RETRY_S = 5.0
MAX_ATTEMPTS = 20


class RecentStudies:
    """The last few studies that were read here, still in the object store; older ones are fetched again."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._studies: OrderedDict[str, FetchedStudy] = OrderedDict()

    def keep(self, job_id: str, study: FetchedStudy) -> None:
        self._studies[job_id] = study
        while len(self._studies) > self._size:
            self._studies.popitem(last=False)

    def get(self, job_id: str) -> FetchedStudy | None:
        return self._studies.get(job_id)


@dataclass(frozen=True, slots=True)
class ShadowContext:
    """What silent reading needs. Times in seconds.

    `busy` tells whether live studies run here, of other routers the ledger tells; `ended` rings when one has ended.
    """

    worker: str
    ledger: Ledger
    port: InferencePort
    snapshot: Callable[[], RoutingSnapshot]
    busy: Callable[[], bool]
    recent: RecentStudies
    ended: Wakeup
    lease_s: float
    fetch_s: float
    forward_s: float


class ShadowRunner:
    """One shadow's reading and one of the safety net at a time per router; neither waits for the other."""

    def __init__(self, context: ShadowContext) -> None:
        self._c = context

    async def run_forever(self, role: str) -> None:
        """Carry out the readings of one role, SHADOW or SAFETY_NET."""
        while True:
            try:
                found = await self.run_once(role)
            except Exception as error:  # noqa: BLE001 - outermost loop: the ledger may be away for a while
                logger.warning("shadow.claim_failed", extra={"error": type(error).__name__})
                found = False
            if not found:
                await self._c.ended.wait(IDLE_S)

    async def run_once(self, role: str) -> bool:
        """Do one reading that is due and can be done; whether there was one."""
        if role == SHADOW and await self._is_busy():
            return False
        served = frozenset(self._c.snapshot().endpoints)
        claimed = await asyncio.to_thread(
            self._c.ledger.shadows.claim,
            self._c.worker,
            lease_s=self._c.lease_s + self._c.fetch_s + self._c.forward_s,
            limit=1,
            apps=served,
            roles=(role,),
        )
        for task in claimed:
            await self._run(task)
        return bool(claimed)

    async def _is_busy(self) -> bool:
        """Whether a live study is being read, here or by another router."""
        return self._c.busy() or await asyncio.to_thread(self._c.ledger.jobs.any_running)

    async def _run(self, task: ClaimedShadow) -> None:
        try:
            await self._read(task)
        except LeaseLost:
            return
        except Exception as error:  # noqa: BLE001 - a shadow may fail in any way and must harm nobody
            await self._failed(task, error)

    async def _read(self, task: ClaimedShadow) -> None:
        version = self._c.snapshot().endpoints.get(task.app)
        if version is None:
            raise ModelUnavailable("the silent reader is not warm")
        study = self._c.recent.get(task.job_id) or await self._fetch(task, version)
        started = time.monotonic()
        silent_only = task.role == SHADOW and task.app not in self._answering()
        if silent_only:
            inference = await self._c.port.predict_when_idle(version, study, self._c.forward_s)
        else:
            inference = await self._c.port.predict(version, study, self._c.forward_s, last_in_queue())
        latency_ms = (time.monotonic() - started) * 1e3
        outcome = silenced(inference.prediction, critical_codes(version.spec))
        audience = Audience.EVIDENCE if task.role == SHADOW else Audience.CALLER
        for escalation in disagreements(task.delivered, outcome, task.variant):
            logger.warning("shadow.critical_disagreement", extra={"job": task.job_id})
            await asyncio.to_thread(
                self._c.ledger.escalations.record, task.job_id, asdict(escalation), audience
            )
        await asyncio.to_thread(self._c.ledger.shadows.done, task.token, outcome.as_json(), latency_ms)

    def _answering(self) -> set[str]:
        """The applications that callers wait for: a thread for idle cores would hold them up."""
        tables = self._c.snapshot().tables.values()
        return {variant.app for table in tables for variant in table.answering.values()}

    async def _fetch(self, task: ClaimedShadow, version: ServedVersion) -> FetchedStudy:
        request = FetchRequest(
            study=task.study,
            eligible=(EligibleModel(task.model, version.spec.input.series),),
            order=last_in_queue(),
            deadline_s=self._c.fetch_s,
        )
        return await self._c.port.fetch(request, self._c.fetch_s)

    async def _failed(self, task: ClaimedShadow, error: Exception) -> None:
        """A reading that failed counts as an outcome in the end: a version without an answer is a finding too."""
        code = error.code if isinstance(error, SerinusError) else type(error).__name__
        at = now()
        again = is_retryable(error) and task.attempt < MAX_ATTEMPTS
        retry_at = at + timedelta(seconds=RETRY_S * min(task.attempt, 12)) if again else None
        logger.info("shadow.failed", extra={"job": task.job_id, "code": code, "retry": again})
        try:
            await asyncio.to_thread(self._c.ledger.shadows.failed, task.token, code, retry_at)
        except LeaseLost:
            return


def last_in_queue() -> QueueOrder:
    """Behind every live study that has waited at all."""
    return queue_order(Priority.BATCH, now())


def is_retryable(error: Exception) -> bool:
    """Whether the reading is worth another try: so after a deadline, for a full machine is no fault of a shadow."""
    return isinstance(error, SerinusError) and (error.retryable or isinstance(error, DeadlineExceeded))
