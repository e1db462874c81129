"""The router: the HTTP ingress, and the runner of what the ledger holds.

A replica owns nothing that would be missed: jobs and deliveries are leased from the ledger, the snapshot is pushed
by the rollout controller and pulled at start. `kill -9` it, and another one goes on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI
from ray import serve
from ray.exceptions import ActorDiedError, ActorUnavailableError
from ray.serve.handle import DeploymentHandle

from core.errors import SerinusError
from ledger import Ledger
from observability.event_log import configure_logging
from observability.redaction import Pseudonymiser
from serve_apps.adapters.api_keys import ApiKeys
from serve_apps.adapters.archives import Archives
from serve_apps.adapters.broadcast import Broadcast
from serve_apps.adapters.polling_follower import PollingFollower
from serve_apps.adapters.report_store import ReportStores
from serve_apps.adapters.serve_inference import ServeInference, call
from serve_apps.adapters.tracing import build_tracer, pseudonymiser
from serve_apps.adapters.wakeups import Wakeups
from serve_apps.api.app import create_app
from serve_apps.api.dependencies import Services
from serve_apps.api.stow import Inbox
from serve_apps.api.webhook_receiver import WebhookReceiver
from serve_apps.application.ab_tests import ABService
from serve_apps.application.analyse_study import SiteRules
from serve_apps.application.deliver import CallbackSigner, DeliveryRunner
from serve_apps.application.freeze import FreezeService
from serve_apps.application.jobs import JobService
from serve_apps.application.messages import ServedVersion
from serve_apps.application.overview import OverviewService
from serve_apps.application.routing import RoutingService
from serve_apps.application.routing_snapshot import FreezeNotice, RoutingSnapshot, with_freeze
from serve_apps.application.run_job import JobRunner, RunnerContext
from serve_apps.application.run_shadow import RecentStudies, ShadowContext, ShadowRunner
from serve_apps.application.shadow import SAFETY_NET, SHADOW
from serve_apps.settings import INBOX, Settings

logger = logging.getLogger("serinus.router")
PULL_DEADLINE_S = 5.0
PULL_PAUSE_S = 0.5
LEDGER_THREADS = 8


@serve.deployment(
    max_ongoing_requests=200,
    health_check_period_s=2,
    graceful_shutdown_timeout_s=10,
    max_surge_percent=100,
)
@serve.ingress()
class Router:
    """Splits studies between versions and answers callers."""

    async def __init__(  # type: ignore[misc] # Serve awaits it
        self, settings: Settings, reader: DeploymentHandle, controller: DeploymentHandle
    ) -> None:
        configure_logging("INFO")
        self._fleet = RoutingSnapshot()
        self._controller = controller
        self._reading = ServeInference(reader)
        ledger = await asyncio.to_thread(Ledger.open, settings.ledger)
        archives = Archives(settings)
        worker = f"router-{os.getpid()}-{secrets.token_hex(4)}"
        rules, recent = site_rules(settings), RecentStudies(settings.shadow_recent_studies)
        wakeups = Wakeups()
        self._services = self._build_services(settings, ledger, rules.keys, wakeups)
        self._runner = JobRunner(
            RunnerContext(
                worker,
                settings,
                ledger,
                lambda: self._fleet,
                self._reading,
                rules,
                archives.source,
                build_tracer(settings),
                recent,
                wakeups,
            )
        )
        shadows = self._shadow_runner(worker, settings, ledger, recent, wakeups)
        deliveries = delivery_runner(worker, settings, ledger, archives, wakeups)
        self._tasks = [
            asyncio.create_task(loop)
            for loop in (
                self._pull_forever(),
                self._runner.run_forever(),
                self._runner.keep_leases(),
                deliveries.run_forever(),
                shadows.run_forever(SHADOW),
                shadows.run_forever(SAFETY_NET),
            )
        ]

    def _build_services(
        self, settings: Settings, ledger: Ledger, keys: Pseudonymiser, wakeups: Wakeups
    ) -> Services:
        threads = ThreadPoolExecutor(LEDGER_THREADS, "ledger")
        return Services(
            settings=settings,
            jobs=JobService(
                settings,
                ledger,
                lambda: self._fleet,
                PollingFollower(ledger, wakeups, threads),
                threads,
            ),
            routing=RoutingService(ledger, lambda: self._fleet, keys, self._announce, threads),
            ab_tests=ABService(ledger, lambda: self._fleet, self._announce, threads),
            freeze=FreezeService(ledger.routing, Broadcast(), ThreadPoolExecutor(1, "freeze")),
            overview=OverviewService(ledger, lambda: self._fleet, lambda: None, threads),
            keys=ApiKeys(settings.paths.api_keys),
            inbox=Inbox(settings.paths.inbox, INBOX, settings.max_body_bytes, ThreadPoolExecutor(4, "inbox")),
            webhooks=WebhookReceiver(settings.paths.webhook_key.read_text().strip(), self._wake_controller),
        )

    def _shadow_runner(
        self, worker: str, settings: Settings, ledger: Ledger, recent: RecentStudies, wakeups: Wakeups
    ) -> ShadowRunner:
        return ShadowRunner(
            ShadowContext(
                worker,
                ledger,
                self._reading,
                lambda: self._fleet,
                lambda: self._runner.busy,
                recent,
                wakeups.silent,
                settings.lease_s,
                settings.fetch_timeout_s,
                settings.forward_timeout_s,
            )
        )

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_app(lambda: self._services)

    async def push_snapshot(self, snapshot: RoutingSnapshot) -> int:
        """Take a newer snapshot; returns the generation that is in force here."""
        if snapshot.generation > self._fleet.generation:
            cold = [each for each in snapshot.endpoints.values() if not self._reading.knows(each)]
            await asyncio.gather(*(asyncio.to_thread(self._warm, each) for each in cold))
        if snapshot.generation > self._fleet.generation:  # a newer one may have come meanwhile
            self._fleet = snapshot
        return self._fleet.generation

    async def push_freeze(self, notice: FreezeNotice) -> FreezeNotice:
        """Obey a freeze, or its end, at once."""
        self._fleet = with_freeze(self._fleet, frozen=notice.frozen)
        return notice

    async def _announce(self) -> None:
        """Tell the controller that something was decided, and take what it makes of it."""
        try:
            await self.push_snapshot(await call(self._controller.decided, deadline_s=PULL_DEADLINE_S))
        except (SerinusError, ActorDiedError, ActorUnavailableError) as error:
            logger.info("router.announce_failed", extra={"error": type(error).__name__})

    async def _wake_controller(self) -> None:
        """Tell the controller that something changed in MLflow."""
        try:
            await call(self._controller.wake, deadline_s=PULL_DEADLINE_S)
        except (SerinusError, ActorDiedError, ActorUnavailableError) as error:
            logger.info("router.wake_failed", extra={"error": type(error).__name__})

    async def check_health(self) -> None:
        """Unhealthy when one of the loops has ended, which none ever should."""
        for task in self._tasks:
            if task.done():
                raise RuntimeError("a loop of the router has ended")

    def _warm(self, version: ServedVersion) -> None:
        try:
            self._reading.warm(version)
        except SerinusError:
            logger.warning("router.handle_missing", extra={"version": version.version})

    async def _pull_forever(self) -> None:
        """A push reaches only replicas that lived then; pulling slowly makes up for the rest."""
        while True:
            try:
                await self.push_snapshot(await call(self._controller.snapshot, deadline_s=PULL_DEADLINE_S))
            except Exception as error:  # noqa: BLE001 - outermost loop: the controller may be restarting
                logger.info("router.pull_failed", extra={"error": type(error).__name__})
            await asyncio.sleep(PULL_PAUSE_S if self._fleet.generation < 0 else PULL_PAUSE_S * 10)


def delivery_runner(
    worker: str, settings: Settings, ledger: Ledger, archives: Archives, wakeups: Wakeups
) -> DeliveryRunner:
    signer = CallbackSigner(settings.paths.callback_key.read_text().strip().encode())
    stores = ReportStores(archives, settings.paths.reports, ThreadPoolExecutor(4, "outbox-reports"))
    return DeliveryRunner(worker, ledger, stores, signer, wakeups)


def site_rules(settings: Settings) -> SiteRules:
    return SiteRules(
        site=settings.site,
        policy=settings.site_policy,
        keys=pseudonymiser(settings),
        fetch_s=settings.fetch_timeout_s,
        forward_s=settings.forward_timeout_s,
        stable_reserve_s=settings.stable_reserve_s,
        canary_timeout_s=settings.canary_timeout_s,
    )
