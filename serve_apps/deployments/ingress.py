"""The HTTP ingress: it answers callers, writes what they ask for to the ledger, and calls others to do it.

A replica holds nothing worth missing, so there may be any number of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from core.private_files import write_privately
from ledger import Ledger
from observability.event_log import configure_logging
from serve_apps.adapters.broadcast import Broadcast
from serve_apps.adapters.controller_calls import ControllerCalls
from serve_apps.adapters.job_deployments import JobBroadcast, ServeJobWorkers
from serve_apps.adapters.key_follower import KeyFollower
from serve_apps.adapters.serve_applications import running_replicas, without_replica
from serve_apps.adapters.tally_writer import TallyWriter
from serve_apps.adapters.tracing import pseudonymiser
from serve_apps.api.app import create_app
from serve_apps.api.dependencies import Services
from serve_apps.api.stow import Inbox
from serve_apps.api.webhook_receiver import WebhookReceiver
from serve_apps.application.ab_tests import ABService
from serve_apps.application.adjudication import AdjudicationService
from serve_apps.application.anchored_audit import audit_anchor
from serve_apps.application.cost_gauges import CostGauges
from serve_apps.application.costs import CostService
from serve_apps.application.drift import DriftService
from serve_apps.application.edge_tally import ErrorTally, ResultTally
from serve_apps.application.evidence_packs import EvidencePacks, pack_signer
from serve_apps.application.executors import LedgerThreads
from serve_apps.application.follow_job import JobFollower
from serve_apps.application.freeze import FreezeService
from serve_apps.application.fresh_snapshot import SnapshotChecks
from serve_apps.application.gather_evidence import ReadEvidence
from serve_apps.application.jobs import JobService
from serve_apps.application.key_ring import KeyRing
from serve_apps.application.keys import KeyService
from serve_apps.application.messages import ServedVersion
from serve_apps.application.metrics import MetricsService
from serve_apps.application.overview import OverviewService
from serve_apps.application.recalls import RecallService
from serve_apps.application.replay import ReplayService
from serve_apps.application.rollouts import RolloutService
from serve_apps.application.routing import RoutingService
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.application.routing_state import RoutingState
from serve_apps.application.truth import TruthService
from serve_apps.application.truth_sets import TruthSetService
from serve_apps.deployments.routing_replica import RoutingReplica
from serve_apps.settings import INBOX, Settings

LONGEST_WAIT_S = 300.0  # of a caller; Serve lets a replica that is replaced end what it has begun


@serve.deployment(
    max_ongoing_requests=500,
    health_check_period_s=2,
    graceful_shutdown_timeout_s=LONGEST_WAIT_S + 20,
    graceful_shutdown_wait_loop_s=0.2,
    max_surge_percent=100,
)
@serve.ingress()
class Ingress(RoutingReplica):
    """Answers callers over HTTP; hears by handle of snapshots, freezes and the ends of jobs."""

    async def __init__(  # type: ignore[misc] # Serve awaits it
        self, settings: Settings, workers: DeploymentHandle, controller: DeploymentHandle
    ) -> None:
        write_privately()
        configure_logging("INFO")
        self._pools = Pools()
        self._ledger = await asyncio.to_thread(Ledger.open, settings.ledger, settings.retry_policy)
        self._routing = RoutingState(self._ledger.control, self._not_loaded)
        await self._routing.start()
        self._controller = ControllerCalls(controller, self._routing)
        self._follower = JobFollower(
            ServeJobWorkers(workers),
            JobBroadcast(("JobWorker", "Outbox"), "watch"),
            JobBroadcast(("Ingress",), "job_ended"),
            self._ledger.jobs.get,
            self._pools.ledger,
        )
        self._ring = KeyRing()
        self._keys = KeyFollower(self._ring, lambda: self._ledger, settings.paths.api_keys)
        await asyncio.to_thread(self._keys.look)
        self._keys.follow()
        self._services = self._make_services(settings)
        self._tally = TallyWriter((self._services.results, self._services.errors), lambda: self._ledger)
        self._tally.follow()
        loops = (self._routing.follow_forever(), self._services.freeze.record_forever())
        self._loops = [asyncio.create_task(loop) for loop in loops]

    def _make_services(self, settings: Settings) -> Services:
        ledger, controller, pools = self._ledger, self._controller, self._pools
        keys, replicas = pseudonymiser(settings), Broadcast()
        checks = SnapshotChecks(self._snapshot, controller.wake)
        anchor = audit_anchor(settings, ledger)
        overview = OverviewService(
            ledger,
            self._snapshot,
            lambda: self._routing.alarm,
            pools.ledger,
            settings.shadow_backlog_alarm_s,
            others=replicas,
        )
        return Services(
            settings=settings,
            jobs=JobService(settings, ledger, self._snapshot, self._follower, pools.ledger),
            routing=RoutingService(
                ledger, self._snapshot, checks, keys, controller.announce, pools.ledger, anchor
            ),
            ab_tests=ABService(ledger, self._snapshot, checks, controller.announce, pools.ledger),
            freeze=FreezeService(
                ledger.routing,
                replicas,
                pools.freeze,
                is_unrecorded=lambda: self._routing.is_unrecorded,
            ),
            overview=overview,
            keys=self._ring,
            key_service=KeyService(ledger, pools.ledger, self._keys.look),
            inbox=Inbox(settings.paths.inbox, INBOX, settings.max_body_bytes, pools.inbox),
            truth=TruthService(ledger, self._snapshot, keys, pools.ledger),
            adjudications=AdjudicationService(
                ledger, self._snapshot, pools.ledger, settings.adjudicate_concordant
            ),
            rollouts=RolloutService(
                ledger,
                controller,
                ReadEvidence(ledger),
                pools.ledger,
                settings.callback_hosts,
            ),
            replays=ReplayService(ledger, self._snapshot, pools.ledger, settings.adjudicate_concordant),
            truth_sets=TruthSetService(ledger, self._snapshot, keys, pools.ledger, settings.all_sources),
            recalls=RecallService(ledger, self._snapshot, pools.ledger),
            evidence_packs=EvidencePacks(
                ledger, pools.packs, site=settings.site, signer=pack_signer(settings)
            ),
            costs=CostService(ledger.costs, settings.price_book, pools.packs, waiting=ledger.waiting_work),
            drift=DriftService(ledger, self._snapshot, pools.packs),
            metrics=MetricsService(
                ledger,
                overview,
                pools.ledger,
                running_replicas,
                CostGauges(ledger.cost_spending, settings.price_book),
            ),
            webhooks=WebhookReceiver(settings.paths.webhook_key.read_text().strip(), controller.wake),
            results=ResultTally(keys.study),
            errors=ErrorTally(),
        )

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_app(lambda: self._services)

    async def job_ended(self, job_id: str) -> None:
        """Wake callers who wait here for the job, which has ended somewhere."""
        self._follower.ended(job_id)

    async def __del__(self) -> None:
        for loop in self._loops:
            loop.cancel()
        self._keys.close()
        await asyncio.to_thread(self._tally.close)
        self._routing.close()
        self._pools.close()
        self._ledger.close()

    async def _not_loaded(self, endpoints: Mapping[str, ServedVersion]) -> Collection[str]:
        """What a first snapshot, read from the ledger, names and the cluster does not run yet."""
        return await without_replica(endpoints) if self._routing.snapshot.is_empty else ()

    def _snapshot(self) -> RoutingSnapshot:
        return self._routing.snapshot


class Pools:
    """Threads by what they are for: a freeze waits behind nothing, a big push and a long pack hold up nobody else."""

    def __init__(self) -> None:
        self.ledger = LedgerThreads(8)
        self.inbox = ThreadPoolExecutor(4, "inbox")
        self.freeze = ThreadPoolExecutor(1, "freeze")
        self.packs = ThreadPoolExecutor(1, "evidence")

    def close(self) -> None:
        for pool in (self.ledger, self.inbox, self.freeze, self.packs):
            pool.shutdown(wait=False, cancel_futures=True)
