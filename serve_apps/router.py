"""The router: the HTTP ingress, and the runner of what the ledger holds.

A replica owns nothing that would be missed: jobs and deliveries are leased from the ledger, the fleet is pushed
by the rollout controller and pulled at start. `kill -9` it, and another one goes on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets

from fastapi import FastAPI
from ray import serve
from ray.exceptions import ActorDiedError, ActorUnavailableError
from ray.serve.handle import DeploymentHandle

from imaging.errors import SerinusError
from ledger import Ledger
from observability.event_log import configure_logging
from serve_apps.bells import Bells
from serve_apps.fleet import Fleet
from serve_apps.http.api import Services, create_app
from serve_apps.http.auth import ApiKeys
from serve_apps.http.inbox import Inbox
from serve_apps.http.webhook_desk import WebhookDesk
from serve_apps.jobs.delivery_runner import CallbackSigner, DeliveryRunner
from serve_apps.jobs.job_runner import JobRunner, RunnerContext
from serve_apps.jobs.job_service import JobService
from serve_apps.jobs.report_store import ReportStores
from serve_apps.messages import ServedVersion
from serve_apps.reading.analyse_study import SiteRules
from serve_apps.reading.serve_reading import ServeReading, call
from serve_apps.routing.ab_service import ABService
from serve_apps.routing.routing_service import RoutingService
from serve_apps.settings import Settings
from serve_apps.silent.shadow import SAFETY_NET, SHADOW
from serve_apps.silent.shadow_runner import RecentStudies, ShadowContext, ShadowRunner
from serve_apps.sources import INBOX, Archives
from serve_apps.tracing import build_tracer, pseudonymiser

logger = logging.getLogger("serinus.router")
PULL_DEADLINE_S = 5.0
PULL_PAUSE_S = 0.5


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
        self._fleet = Fleet()
        self._controller = controller
        self._reading = ServeReading(reader)
        ledger = await asyncio.to_thread(Ledger.open, settings.ledger, settings.max_attempts)
        archives = Archives(settings)
        worker = f"router-{os.getpid()}-{secrets.token_hex(4)}"
        rules, recent = site_rules(settings), RecentStudies(settings.shadow_recent_studies)
        bells = Bells()
        self._services = Services(
            settings,
            JobService(settings, ledger, lambda: self._fleet, bells),
            RoutingService(ledger, lambda: self._fleet, rules.keys, self._announce),
            ABService(ledger, lambda: self._fleet, self._announce),
            ApiKeys(settings.paths.api_keys),
            Inbox(settings.paths.inbox, INBOX, settings.max_body_bytes),
            WebhookDesk(settings.paths.webhook_key.read_text().strip(), self._wake_controller),
        )
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
                bells,
            )
        )
        shadows = self._shadow_runner(worker, settings, ledger, recent, bells)
        deliveries = delivery_runner(worker, settings, ledger, archives, bells)
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

    def _shadow_runner(
        self, worker: str, settings: Settings, ledger: Ledger, recent: RecentStudies, bells: Bells
    ) -> ShadowRunner:
        return ShadowRunner(
            ShadowContext(
                worker,
                ledger,
                self._reading,
                lambda: self._fleet,
                lambda: self._runner.busy,
                recent,
                bells.silent,
                settings.lease_s,
                settings.fetch_timeout_s,
                settings.forward_timeout_s,
            )
        )

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_app(lambda: self._services)

    async def push_fleet(self, fleet: Fleet) -> int:
        """Take a newer fleet; returns the generation that is in force here."""
        if fleet.generation > self._fleet.generation:
            cold = [each for each in fleet.served.values() if not self._reading.knows(each)]
            await asyncio.gather(*(asyncio.to_thread(self._warm, each) for each in cold))
        if fleet.generation > self._fleet.generation:  # a newer one may have come meanwhile
            self._fleet = fleet
        return self._fleet.generation

    async def _announce(self) -> None:
        """Tell the controller that something was decided, and take what it makes of it."""
        try:
            await self.push_fleet(await call(self._controller.decided, deadline_s=PULL_DEADLINE_S))
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
                await self.push_fleet(await call(self._controller.fleet, deadline_s=PULL_DEADLINE_S))
            except Exception as error:  # noqa: BLE001 - outermost loop: the controller may be restarting
                logger.info("router.pull_failed", extra={"error": type(error).__name__})
            await asyncio.sleep(PULL_PAUSE_S if self._fleet.generation < 0 else PULL_PAUSE_S * 10)


def delivery_runner(
    worker: str, settings: Settings, ledger: Ledger, archives: Archives, bells: Bells
) -> DeliveryRunner:
    signer = CallbackSigner(settings.paths.callback_key.read_text().strip().encode())
    return DeliveryRunner(worker, ledger, ReportStores(archives, settings.paths.reports), signer, bells)


def site_rules(settings: Settings) -> SiteRules:
    return SiteRules(
        site=settings.site,
        policy=settings.site_policy,
        keys=pseudonymiser(settings),
        fetch_s=settings.fetch_timeout_s,
        forward_s=settings.forward_timeout_s,
        champion_reserve_s=settings.champion_reserve_s,
        candidate_patience_s=settings.candidate_patience_s,
    )
