"""Brings reports back to their source and callbacks to their hosts, apart from those who read and those who answer.

A replica owns nothing that would be missed: what is due lies in the ledger under a lease. `kill -9` it, and another
one delivers the same again, under the same UIDs.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ray import serve

from core.private_files import write_privately
from ledger import JobState, Ledger
from observability.event_log import configure_logging
from serve_apps.adapters.archives import Archives
from serve_apps.adapters.callbacks import SignedCallbacks
from serve_apps.adapters.job_deployments import JobBroadcast
from serve_apps.adapters.report_store import ReportStores
from serve_apps.application.deliver import DeliveryContext, DeliveryLimits, OutboxDispatcher
from serve_apps.application.lease_keeper import LeaseKeeper
from serve_apps.application.watched_jobs import WatchedJobs
from serve_apps.settings import Settings

DRAIN_S = 30.0


@serve.deployment(
    max_ongoing_requests=1000,
    ray_actor_options={"num_cpus": 0.1},
    health_check_period_s=2,
    graceful_shutdown_timeout_s=DRAIN_S + 10,
    max_surge_percent=100,
)
class Outbox:
    """Delivers what one job has due, by `deliver`; finds in the ledger what has to be tried again."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc] # Serve awaits it
        write_privately()
        configure_logging("INFO")
        self._pool = ThreadPoolExecutor(4, "ledger")
        self._reading = ThreadPoolExecutor(2, "reports")
        self._ledger = await asyncio.to_thread(Ledger.open, settings.ledger, settings.retry_policy)
        self._archives = Archives(settings)
        self._stores = ReportStores(self._archives, settings.paths.reports, self._reading)
        self._callbacks = SignedCallbacks(settings.paths.callback_key.read_text().strip().encode())
        self._watched = WatchedJobs(JobBroadcast(("Ingress",), "job_ended"))
        worker = f"outbox-{os.getpid()}-{secrets.token_hex(4)}"
        limits = DeliveryLimits(deadline_s=settings.delivery_timeout_s, lease_s=settings.lease_s)
        self._keeper = LeaseKeeper(partial(self._ledger.outbox.renew, worker), limits.lease_s)
        self._keeper.start()
        self._dispatcher = OutboxDispatcher(self._context(worker, settings, limits))
        self._loop = asyncio.create_task(self._dispatcher.recover_forever())

    async def deliver(self, job_id: str) -> JobState:
        """Attempt what the job has due, and return its state then."""
        return await self._dispatcher.deliver(job_id)

    async def watch(self, job_id: str) -> None:
        """Remember to tell every Ingress of the job's end, should it end here."""
        self._watched.watch(job_id)

    async def check_health(self) -> None:
        """Unhealthy when the recovery loop has ended, which it never should."""
        if self._loop.done():
            raise RuntimeError("the recovery loop of the outbox has ended")

    async def __del__(self) -> None:
        """Begin nothing new, and let end what is under way."""
        self._loop.cancel()
        await asyncio.wait([asyncio.create_task(self._dispatcher.drain())], timeout=DRAIN_S)
        self._keeper.close()
        await self._callbacks.aclose()
        await self._archives.aclose()
        self._stores.close()
        for pool in (self._pool, self._reading):
            pool.shutdown(wait=False, cancel_futures=True)
        self._ledger.close()

    def _context(self, worker: str, settings: Settings, limits: DeliveryLimits) -> DeliveryContext:
        return DeliveryContext(
            worker=worker,
            rows=self._ledger.outbox,
            jobs=self._ledger.jobs,
            store=self._stores,
            callbacks=self._callbacks,
            watched=self._watched,
            leases=self._keeper,
            executor=self._pool,
            limits=limits,
            retry=settings.retry_policy,
        )
