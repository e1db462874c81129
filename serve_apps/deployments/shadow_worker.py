"""Has shadows, and the safety net behind a canary, read the studies that callers were told of.

A replica owns nothing that would be missed: what is pending lies in the ledger under a short lease. `kill -9` it, and
another one repeats the inference within seconds.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from concurrent.futures import ThreadPoolExecutor

from ray import serve
from ray.serve.handle import DeploymentHandle

from canary.disclosure import Role
from core.private_files import write_privately
from ledger import Ledger
from observability.event_log import configure_logging
from serve_apps.adapters.cpu_priority import lower_priority
from serve_apps.adapters.serve_inference import ServeInference, ServeReader
from serve_apps.adapters.shared_objects import GiveBackByHandle
from serve_apps.adapters.tracing import pseudonymiser
from serve_apps.application.lease_keeper import LeaseKeeper
from serve_apps.application.loans import Borrower
from serve_apps.application.messages import FetchedStudy
from serve_apps.application.recent_studies import RecentStudies
from serve_apps.application.routing_state import RoutingState
from serve_apps.application.run_shadow import ShadowContext, ShadowLimits, ShadowRunner
from serve_apps.application.study_traces import StudyTraces
from serve_apps.deployments.routing_replica import RoutingReplica
from serve_apps.settings import Settings

ROLES = (Role.SAFETY_NET, Role.SHADOW, Role.RECALL)
PAST = (Role.REPLAY, Role.GROUND_TRUTH)  # after all shadows that are due
KEEP_STUDIES_S = 330.0  # as long as a shadow may wait for live studies, and a little more


@serve.deployment(
    max_ongoing_requests=1000,
    ray_actor_options={"num_cpus": 0.1},
    health_check_period_s=2,
    graceful_shutdown_timeout_s=10,
    max_surge_percent=100,
)
class ShadowWorker(RoutingReplica):
    """Carries out pending shadows: `notify` tells of a study that has some; the rest it finds in the ledger."""

    async def __init__(  # type: ignore[misc] # Serve awaits it
        self, settings: Settings, reader: DeploymentHandle
    ) -> None:
        write_privately()
        configure_logging("INFO")
        lower_priority()
        self._pool = ThreadPoolExecutor(2, "ledger")
        self._handles = ThreadPoolExecutor(1, "handles")
        self._ledger = await asyncio.to_thread(Ledger.open, settings.ledger, settings.retry_policy)
        borrower = Borrower(GiveBackByHandle())
        self._port = ServeInference(ServeReader(reader, borrower, self._handles), borrower, self._handles)
        self._routing = RoutingState(self._ledger.control, self._port.prepare)
        await self._routing.start()
        self._recent = RecentStudies(settings.shadow_recent_studies, KEEP_STUDIES_S)
        limits = limits_of(settings)
        self._keeper = LeaseKeeper(self._ledger.shadows.renew, limits.lease_s)
        self._keeper.start()
        context = self._context(settings, limits)
        self._runners = tuple(
            ShadowRunner(role, context, afterwards=PAST if role is Role.SHADOW else ()) for role in ROLES
        )
        self._loops = [asyncio.create_task(runner.run_forever()) for runner in self._runners]
        for loop in (self._routing.follow_forever(), borrower.give_back_forever()):
            self._loops.append(asyncio.create_task(loop))

    async def notify(self, job_id: str, study: FetchedStudy) -> None:
        """Keep the study of a job that has ended, so that its shadows read it in the object store."""
        self._recent.keep(job_id, self._port.borrowed(study))
        for runner in self._runners:
            runner.wake()

    async def __del__(self) -> None:
        """Hand back what is in hand, so that another replica need not wait for a lease to run out."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._keeper.close()
        self._routing.close()
        for pool in (self._pool, self._handles):
            pool.shutdown(wait=False, cancel_futures=True)
        self._ledger.close()

    def _context(self, settings: Settings, limits: ShadowLimits) -> ShadowContext:
        return ShadowContext(
            worker=f"shadow-worker-{os.getpid()}-{secrets.token_hex(4)}",
            rows=self._ledger.shadows,
            escalations=self._ledger.escalations,
            live=self._ledger.jobs,
            port=self._port,
            snapshot=lambda: self._routing.snapshot,
            recent=self._recent,
            leases=self._keeper,
            traces=StudyTraces(pseudonymiser(settings), settings.site),
            executor=self._pool,
            limits=limits,
            retry=settings.retry_policy,
        )


def limits_of(settings: Settings) -> ShadowLimits:
    return ShadowLimits(
        fetch_s=settings.fetch_timeout_s,
        forward_s=settings.forward_timeout_s,
        max_wait_s=settings.shadow_max_wait_s,
    )
