"""The control plane as one deployment: it wires the reconciler to MLflow, Serve, the ledger and the routers."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Protocol

from ray import serve

from canary.rollout.plan import RolloutPlan
from canary.rollout.verbs import Verb
from core.clock import now
from core.private_files import write_privately
from core.sqlite_changes import SqliteChanges
from ledger import Ledger
from observability.event_log import configure_logging
from observability.metrics.otlp import OtlpMetrics
from registry.cache import NodeCache
from registry.client import RegistryClient
from registry.server import database_of
from registry.signing import load_verify_key
from registry.webhook_subscription import name_of_site, subscribe
from serve_apps.adapters.broadcast import Broadcast
from serve_apps.adapters.living_workers import living_workers
from serve_apps.adapters.rollout_gates import SignedGates
from serve_apps.adapters.serve_applications import running_replicas
from serve_apps.application.anchored_audit import audit_anchor
from serve_apps.application.budgets import SiteBudgets
from serve_apps.application.cost_gauges import CostGauges
from serve_apps.application.gather_evidence import GatheredEvidence
from serve_apps.application.metrics import MetricsService
from serve_apps.application.overview import OverviewService
from serve_apps.application.post_costs import CostPosting
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.control.admission import AdmissionController
from serve_apps.control.apply import Applications, ReadinessProbes
from serve_apps.control.chore import Chore, while_leading
from serve_apps.control.cost_looks import CostWorld
from serve_apps.control.gates import AskedGates
from serve_apps.control.metrics_export import MetricsExport
from serve_apps.control.observe import ApplicationPhases, Observer, unknown
from serve_apps.control.page_writer import PageWriter
from serve_apps.control.publish import Move, Publisher
from serve_apps.control.queue_watch import LOOK_S, QueueWatch
from serve_apps.control.ray_serve import RayServe, ask_replica, cluster_capacity
from serve_apps.control.reconcile import Parts, Reconciler
from serve_apps.control.rollout_acts import Ports
from serve_apps.control.rollout_board import RolloutBoard
from serve_apps.control.rollout_loop import Controller, RolloutLoop
from serve_apps.control.rollout_world import Drains, Site
from serve_apps.control.rollouts import Rollouts, Sources
from serve_apps.control.subscription import RegistrySubscription
from serve_apps.control.watch import DataPlaneWatch, RefusalLog, audit_chain, ledger_log, shadow_backlog
from serve_apps.deployments.chores import chores_of
from serve_apps.deployments.cost_chores import cost_chores
from serve_apps.deployments.model_server import ModelServer
from serve_apps.settings import Settings


class Closable(Protocol):
    def close(self) -> None: ...


@serve.deployment(max_ongoing_requests=50, health_check_period_s=2, graceful_shutdown_timeout_s=5)
class RolloutController:
    """Keeps one application per version that has a role, and the routers' tables, as the registry and people say."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc] # Serve awaits it
        write_privately()
        configure_logging("INFO")
        self._ledger = await asyncio.to_thread(Ledger.open, settings.ledger)
        self._client = RegistryClient(settings.registry_url)
        self._build(settings)
        loops = (
            self._reconciler.run_forever(),
            self._publisher.run_forever(),
            self._watch.run_forever(lambda: self._reconciler.tables_in_force),
            self._rollouts.run_forever(),
            self._gates.run_forever(),
            *(chore.run_forever() for chore in self._chores),
            *([self._metrics.run_forever()] if self._metrics else []),
            *([self._subscription.run_forever()] if self._subscription else []),
        )
        self._loops = [asyncio.create_task(loop) for loop in loops]

    def _build(self, settings: Settings) -> None:
        ledger, client = self._ledger, self._client
        cache = NodeCache(settings.paths.models, client, load_verify_key(settings.paths.verify_key))
        self._admission = AdmissionController(cache, changed=self._wake)
        probes = ReadinessProbes(self._wake, ask_replica)
        self._serve = RayServe(settings, ModelServer)
        self._applications = Applications(settings, self._serve, probes)
        phases = ApplicationPhases(self._applications)
        embedded = settings.mlflow_url is None
        self._registry_changes = SqliteChanges(database_of(settings.paths.mlflow)) if embedded else None
        self._observer = Observer(
            client,
            self._admission,
            phases,
            settings.registry_poll_s,
            registry_mark=self._registry_changes.mark if self._registry_changes else unknown,
        )
        holder = f"controller-{os.getpid()}-{secrets.token_hex(4)}"
        self._publisher = Publisher(ledger.control, Broadcast(), holder, note_moves_in(ledger))
        backlog = shadow_backlog(ledger.shadows.oldest_pending, settings.shadow_backlog_alarm_s)
        log = ledger_log(ledger.log.trim)
        anchor = audit_anchor(settings, ledger)
        audit = audit_chain(lambda full: anchor.keep(full=full).problem)
        self._watch = DataPlaneWatch(ledger.decisions, ledger.audit, (backlog, log, audit))
        self._board = RolloutBoard()
        self._pages = PageWriter(client, rollouts=self._board.pages)
        self._subscription = None if embedded else subscription_of(settings, client)
        self._queue = QueueWatch(ledger.waiting, ledger.study_records, cluster_capacity, now)
        parts = Parts(
            observer=self._observer,
            applications=self._applications,
            publisher=self._publisher,
            routing=ledger.routing,
            head=ledger.control.head,
            refusal_log=RefusalLog(ledger.audit),
            pages=self._pages,
            may_retry=phases.may_retry,
            alarms=self._alarms,
            queue=lambda: self._queue.sight,
        )
        self._reconciler = Reconciler(parts, settings)
        self._gate_calls = SignedGates(settings.paths.callback_key.read_text().strip().encode())
        self._gates = AskedGates(self._gate_calls, settings.callback_hosts)
        self._rollouts = self._rollout_loop(settings)
        self._chores = (
            *chores_of(settings, ledger, client, self._board, lambda: self._publisher.snapshot, self._leads),
            Chore("queue", while_leading(self._leads, self._queue.look), LOOK_S),
        )
        self._metrics = self._metrics_export(settings, settings.otlp_metrics_endpoint)
        self._budgets = site_budgets(settings, ledger)
        self._chores += cost_chores(
            settings, ledger, self._cost_world(settings), self._budgets, lambda: self._publisher.snapshot
        )

    def _cost_world(self, settings: Settings) -> CostWorld:
        """Where it is seen what is paid for."""
        return CostWorld(
            living=living_workers,
            versions=lambda: dict(self._applications.versions),
            is_warm=self._applications.is_warm,
            has_gpu=lambda: self._applications.has_gpu,
            reserved=self._serve.reserved,
            leads=self._leads,
            post=CostPosting(self._ledger.costs, settings.price_book).look,
            clock_ns=time.time_ns,
            site=settings.site,
            least=self._least_replicas,
        )

    def _metrics_export(self, settings: Settings, endpoint: str | None) -> MetricsExport | None:
        """To the site's collector; a site without one is scraped, or tells nobody."""
        if endpoint is None:
            return None
        threads = ThreadPoolExecutor(2, "metrics")
        overview = OverviewService(
            self._ledger,
            lambda: self._publisher.snapshot,
            lambda: None,
            threads,
            settings.shadow_backlog_alarm_s,
            others=Broadcast(),
        )
        costs = CostGauges(self._ledger.cost_spending, settings.price_book)
        metrics = MetricsService(self._ledger, overview, threads, running_replicas, costs)
        return MetricsExport(metrics.now, self._leads, OtlpMetrics(endpoint), threads)

    def _rollout_loop(self, settings: Settings) -> RolloutLoop:
        ledger, reconciler = self._ledger, self._reconciler
        drain = timedelta(seconds=settings.forward_timeout_s + settings.stable_reserve_s)
        sources = Sources(
            store=ledger.rollouts,
            routing=ledger.routing.all,
            site=lambda: Site(ledger.control.head().frozen, self._watch.planes),
            evidence=GatheredEvidence(ledger, settings.adjudicate_concordant),
            marks=ledger.rollout_marks.all,
            history=ledger.transitions.history,
            key=settings.assignment_key,
            board=self._board,
            gates=self._gates,
        )
        ports = Ports(ledger.rollouts, ledger.routing, self._client, ledger.transitions)
        controller = Controller(
            sighting=lambda: reconciler.sighting,
            leads=self._leads,
            decided=reconciler.decided,
            registry_changed=reconciler.registry_changed,
        )
        return RolloutLoop(Rollouts(sources, ports, Drains(drain), settings.default_rollout_plan), controller)

    async def snapshot(self) -> RoutingSnapshot:
        """What was published last."""
        return self._publisher.snapshot

    async def decided(self) -> RoutingSnapshot:
        """Apply now what people decided about traffic. Returns the snapshot that came of it."""
        return await self._reconciler.decided()

    async def start_rollout(self, plan: RolloutPlan, actor: str) -> bool:
        """Begin a rollout, or change the plan of the one under way where it may change; whether it began."""
        return await self._rollouts.start(plan, actor)

    async def tell_rollout(self, model: str, verb: Verb) -> None:
        """Do what a person says to a model's rollout."""
        await self._rollouts.say(model, verb)

    async def wake(self) -> None:
        """Observe MLflow now, where something changed."""
        self._reconciler.registry_changed()

    async def check_health(self) -> None:
        if any(loop.done() for loop in self._loops):
            raise RuntimeError("a loop of the controller has ended")

    async def __del__(self) -> None:
        """Serve calls it when the replica is stopped."""
        for loop in self._loops:
            loop.cancel()
        closing: tuple[Closable | None, ...] = (
            self._admission,
            self._observer,
            self._applications,
            self._publisher,
            self._watch,
            self._rollouts,
            self._gates,
            *self._chores,
            self._metrics,
            self._pages,
            self._subscription,
            self._reconciler,
            self._registry_changes,
            self._client,
            self._ledger,
        )
        for part in closing:
            if part is not None:
                part.close()
        await self._gate_calls.aclose()

    def _least_replicas(self, app_name: str) -> int | None:
        wanted = self._reconciler.wanted.get(app_name)
        return None if wanted is None else wanted.bounds.least

    def _leads(self) -> bool:
        """As the ledger says, which may be away."""
        return self._ledger.control.head().leader_epoch == self._publisher.epoch

    def _wake(self) -> None:
        self._reconciler.wake()

    def _alarms(self) -> Mapping[str, str]:
        telling = (self._subscription, self._budgets)
        return {**self._watch.alarms, **{k: v for one in telling if one for k, v in one.alarms.items()}}


def site_budgets(settings: Settings, ledger: Ledger) -> SiteBudgets | None:
    """None where the site has no price book."""
    if settings.price_book is None:
        return None
    return SiteBudgets(ledger.cost_spending, ledger.waiting_work, settings.price_book)


def subscription_of(settings: Settings, client: RegistryClient) -> RegistrySubscription:
    """For a registry of the site's own, which may serve other sites too."""
    url, secret = settings.webhook_url, settings.paths.webhook_key.read_text().strip()
    return RegistrySubscription(lambda: subscribe(client, url, secret, name_of_site(secret)), url)


def note_moves_in(ledger: Ledger) -> Callable[[Sequence[Move]], None]:
    """Writes each alias that moved, with old and new version."""

    def note(moves: Sequence[Move]) -> None:
        for move in moves:
            ledger.transitions.record(
                move.model,
                move.alias,
                move.old,
                move.new,
                generation=move.generation,
                reason="the alias was moved in the registry",
            )

    return note
