"""A control plane of real parts over hand-written fakes, and a way to `kill -9` it: a new one over the same fakes."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import Any

from canary.gates import SitePolicy
from canary.observation import AppPhase
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.control.admission import AdmissionController
from serve_apps.control.apply import Applications, ReadinessProbes
from serve_apps.control.observe import ApplicationPhases, Observer
from serve_apps.control.page_writer import PageWriter
from serve_apps.control.publish import Move, Publisher
from serve_apps.control.queue_watch import QueueSight
from serve_apps.control.reconcile import Parts, Reconciler
from serve_apps.control.snapshot import Refusal
from serve_apps.settings import Settings
from tests.unit.shell.control_fakes import (
    MODEL,
    Clock,
    FakeControl,
    FakeMlflow,
    FakeRouters,
    FakeRouting,
    FakeServe,
)
from tests.unit.shell.inline import Here


class Refusals:
    """The audit of refusals."""

    def __init__(self) -> None:
        self.noted: list[Refusal] = []

    def has_news(self, refused: Any) -> bool:
        return bool(set(refused) - set(self.noted))

    def note(self, refused: Any) -> None:
        self.noted += [one for one in refused if one not in self.noted]


class ControllerSite:
    """MLflow, Serve, the ledger and the routers outlive every controller. Replicas answer unless `mute`."""

    def __init__(self, **settings: Any) -> None:
        self.settings = Settings(site_policy=SitePolicy.RESEARCH, **settings)
        self.mlflow, self.serve, self.control = FakeMlflow(), FakeServe(), FakeControl()
        self.routers, self.routing, self.clock = FakeRouters(), FakeRouting(), Clock()
        self.refusals = Refusals()
        self.moves: list[Move] = []
        self.alarms: dict[str, str] = {}
        self.mute = False
        self.sight: QueueSight | None = None
        self.start()

    def start(self, downloads: Executor | None = None) -> None:
        """A new controller process."""
        probes = ReadinessProbes(lambda: None, self._answer)
        self.applications = Applications(self.settings, self.serve, probes, self.clock, Here())
        self.admission = AdmissionController(self.mlflow, self.clock, executor=downloads or Here())
        self.phases = ApplicationPhases(self.applications, self.clock)
        self.publisher = Publisher(self.control, self.routers, "test", self.moves.extend, self.clock, Here())
        observer = Observer(self.mlflow, self.admission, self.phases, 0.5, self.clock, Here())
        parts = Parts(
            observer=observer,
            applications=self.applications,
            publisher=self.publisher,
            routing=self.routing,
            head=self.control.head,
            refusal_log=self.refusals,
            pages=PageWriter(self.mlflow, Here(), self.now, self.clock),
            may_retry=self.phases.may_retry,
            alarms=lambda: self.alarms,
            queue=lambda: self.sight,
        )
        self.reconciler = Reconciler(parts, self.settings, self.now, Here(), Here())

    kill = start

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now, UTC)

    async def tick(self, times: int = 1) -> RoutingSnapshot:
        """Tick, publish, and let what was begun end; returns what the routers hold."""
        for _ in range(times):
            self.clock.now += 1.0
            await self.reconciler.tick()
            await self.publisher.flush()
            for _ in range(10):
                await asyncio.sleep(0)
        return self.routers.held

    async def settle(self) -> RoutingSnapshot:
        """Until every application that was run is up and answers."""
        for _ in range(3):
            await self.tick(2)
            self.serve.settle()
        return await self.tick(2)

    async def settled_canary(self, weight_bp: int = 5_000) -> RoutingSnapshot:
        """Version 1 is champion, version 2 answers a share."""
        self.mlflow.register("1", "champion")
        self.mlflow.register("2", "challenger")
        self.routing.decide(version="2", weight_bp=weight_bp, salts={"2": "s"})
        return await self.settle()

    async def _answer(self, app_name: str) -> bool:
        return not self.mute


def answering(snapshot: RoutingSnapshot, model: str = MODEL) -> dict[str, str]:
    return {name: v.version for name, v in snapshot.table(model).answering.items()}


READY = AppPhase.READY
