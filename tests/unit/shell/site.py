"""One site without Ray or sockets: a real ledger, a snapshot that a test makes, and the routes over them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import httpx
from fastapi import FastAPI

from canary.rollout.nominate import begin
from canary.rollout.plan import RolloutPlan
from canary.rollout.verbs import Verb
from core.clock import now
from core.errors import LedgerUnavailable
from core.priority import QueueOrder
from ledger import AuditAnchor, JobState, Ledger, NewKey, ShadowTask
from observability.metrics.exposition import Gauges
from observability.redaction import Pseudonymiser
from registry.pack_signature import PackSigner
from serve_apps.api.app import create_app
from serve_apps.api.dependencies import Services
from serve_apps.api.stow import Inbox
from serve_apps.api.webhook_receiver import WebhookReceiver
from serve_apps.application.ab_tests import ABService
from serve_apps.application.adjudication import AdjudicationService
from serve_apps.application.callers import Scope, digest_of
from serve_apps.application.costs import CostService
from serve_apps.application.drift import DriftService
from serve_apps.application.edge_tally import ErrorTally, ResultTally
from serve_apps.application.evidence_packs import EvidencePacks
from serve_apps.application.follow_job import JobFollower
from serve_apps.application.freeze import FreezeService
from serve_apps.application.fresh_snapshot import SnapshotChecks
from serve_apps.application.jobs import JobService
from serve_apps.application.key_ring import KeyRing
from serve_apps.application.keys import KeyService
from serve_apps.application.messages import JobOutcome
from serve_apps.application.metrics import MetricsService
from serve_apps.application.overview import OverviewService
from serve_apps.application.recalls import RecallService
from serve_apps.application.replay import ReplayService
from serve_apps.application.result import to_result
from serve_apps.application.rollouts import RolloutService
from serve_apps.application.routing import RoutingService
from serve_apps.application.routing_snapshot import FreezeNotice, RoutingSnapshot, with_freeze
from serve_apps.application.routing_state import Confirmation
from serve_apps.application.truth import TruthService
from serve_apps.application.truth_sets import TruthSetService
from serve_apps.settings import Settings
from tests.unit.shell.builders import a_prediction, a_snapshot, a_version
from tests.unit.shell.rollout_site import FakeEvidence

STUDY = "1.2.840.77"
BODY = {"study_uid": STUDY, "source": "samples", "model": "ich-triage"}


S3 = {"id": "s3", "kind": "s3", "allowed_prefixes": ["s3://incoming/"]}


@cache
def the_app() -> FastAPI:
    """Built once for all tests of a process: each of them gives it the services of its own site."""

    def no_services() -> Services:
        raise AssertionError("no site has been asked for a client")

    return create_app(no_services)


class NoWorkers:
    """Every worker is busy: a job stays queued until the test finishes it."""

    async def run(self, job_id: str, order: QueueOrder, waiter_s: float | None) -> JobOutcome:
        return JobOutcome(job_id, JobState.QUEUED, retry_after_s=1.0)


class NoWatches:
    """Nobody tells of a job's end, so it is read again."""

    async def watch(self, job_id: str) -> None: ...

    async def job_ended(self, job_id: str) -> None: ...


class Replicas:
    """The replicas that hold a routing snapshot: how many of them there are, and how many confirm in time."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.alive: Mapping[str, int] = {"Ingress": 2, "JobWorker": 1}
        self.slow: Mapping[str, int] = {}
        self.alarmed: Mapping[str, str] = {}
        self.notices: list[FreezeNotice] = []

    async def alarms(self) -> Mapping[str, str]:
        return self.alarmed

    async def freeze(self, notice: FreezeNotice) -> tuple[Confirmation, ...]:
        self.notices.append(notice)
        self._site.snapshot = with_freeze(self._site.snapshot, frozen=notice.frozen)
        return tuple(
            Confirmation(name, replicas - self.slow.get(name, 0), replicas)
            for name, replicas in self.alive.items()
        )


class Controller:
    """The controller's side of rollouts: begins what is new, and keeps what people said; `error` is raised."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.said: list[tuple[str, Verb]] = []
        self.error: Exception | None = None

    async def start_rollout(self, plan: RolloutPlan, actor: str) -> bool:
        if self.error is not None:
            raise self.error
        if self._ledger.rollouts.of_model(plan.model):
            return False
        self._ledger.rollouts.begin(plan, begin(plan, "2", "1", run=1, now=now()), actor=actor)
        return True

    async def tell_rollout(self, model: str, verb: Verb) -> None:
        if self.error is not None:
            raise self.error
        self.said.append((model, verb))


class Site:
    """One site: its ledger, its snapshot, and what its routes need."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.settings = Settings(state_dir=folder, infer_wait_s=0.0, sources=(S3,), **settings)
        self.ledger = Ledger.open(self.settings.ledger)
        self.snapshot = a_snapshot(a_version())
        self.alarm: str | None = None
        self.announced = 0
        self.looks_again: list[RoutingSnapshot] = []  # what the controller's next looks at MLflow will give
        self.replicas = Replicas(self)
        self.ring = KeyRing()
        self.key = self.new_key("ris", Scope.ADMIN)
        self.reader_key = self.new_key("reader", Scope.RESULTS_READ, tenant="ris")
        self.threads = ThreadPoolExecutor(4, "ledger")
        self.cost_gauges: Callable[[], tuple[Gauges, ...]] = tuple
        self.controller, self.evidence = Controller(self.ledger), FakeEvidence(None)
        self.signer: PackSigner | None = None
        self.services = self._services(folder)

    def _services(self, folder: Path) -> Services:
        ledger, threads = self.ledger, self.threads
        follower = JobFollower(
            NoWorkers(), NoWatches(), NoWatches(), ledger.jobs.get, threads, read_again_s=0.02
        )
        pseudonyms = Pseudonymiser(b"k" * 32)
        checks = SnapshotChecks(lambda: self.snapshot, self.look_again, patience_s=0.001)
        self.anchor = AuditAnchor(ledger.audit, folder / "audit_anchor.json", b"k" * 32)
        overview = OverviewService(
            ledger, lambda: self.snapshot, lambda: self.alarm, threads, others=self.replicas
        )
        return Services(
            settings=self.settings,
            jobs=JobService(self.settings, ledger, lambda: self.snapshot, follower, threads),
            routing=RoutingService(
                ledger, lambda: self.snapshot, checks, pseudonyms, self.announce, threads, self.anchor
            ),
            ab_tests=ABService(ledger, lambda: self.snapshot, checks, self.announce, threads),
            freeze=FreezeService(ledger.routing, self.replicas, threads),
            overview=overview,
            keys=self.ring,
            key_service=KeyService(ledger, threads, self.read_keys),
            inbox=Inbox(folder / "inbox", "inbox", 1 << 20, threads),
            truth=TruthService(ledger, lambda: self.snapshot, pseudonyms, threads),
            adjudications=AdjudicationService(
                ledger, lambda: self.snapshot, threads, self.settings.adjudicate_concordant
            ),
            rollouts=RolloutService(
                ledger, self.controller, self.evidence, threads, self.settings.callback_hosts
            ),
            replays=ReplayService(
                ledger, lambda: self.snapshot, threads, self.settings.adjudicate_concordant
            ),
            truth_sets=TruthSetService(
                ledger, lambda: self.snapshot, pseudonyms, threads, self.settings.all_sources
            ),
            recalls=RecallService(ledger, lambda: self.snapshot, threads),
            evidence_packs=EvidencePacks(ledger, threads, site=self.settings.site, signer=self.signer),
            costs=CostService(ledger.costs, self.settings.price_book, threads, waiting=ledger.waiting_work),
            drift=DriftService(ledger, lambda: self.snapshot, threads),
            metrics=MetricsService(
                ledger, overview, threads, self.count_replicas, lambda: self.cost_gauges()
            ),
            webhooks=WebhookReceiver("secret", self.announce),
            results=ResultTally(pseudonyms.study),
            errors=ErrorTally(),
        )

    def new_key(self, name: str, *scopes: Scope, tenant: str | None = None) -> str:
        """A key that counts from now on; its tenant is called like it unless another is named."""
        secret = f"{name}-{secrets.token_hex(8)}"
        key = NewKey(name, tenant or name, scopes, digest_of(secret))
        self.ledger.keys.adopt([key])
        self.read_keys()
        return secret

    def read_keys(self) -> None:
        """What every process does twice a second."""
        self.ring.take(self.ledger.keys.all())

    async def count_replicas(self) -> Mapping[str, int]:
        return dict.fromkeys(self.snapshot.endpoints, 1)

    async def look_again(self) -> None:
        if self.looks_again:
            self.snapshot = self.looks_again.pop(0)

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        """A client of this site, in the name of its administrator or of another key."""
        app = the_app()
        app.state.find_services = lambda: self.services
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        headers = {"X-API-Key": key or self.key}
        return httpx.AsyncClient(transport=transport, base_url="http://serinus", headers=headers)

    def close(self) -> None:
        self.threads.shutdown()
        self.ledger.close()

    async def announce(self) -> None:
        self.announced += 1

    def lose_the_ledger(self) -> None:
        """From now on the database does not answer."""

        def away() -> NoReturn:
            raise LedgerUnavailable("the database does not answer")

        self.ledger.database.read = away  # type: ignore[method-assign]
        self.ledger.database.write = away  # type: ignore[method-assign]

    def finish(self, job_id: str, shadows: tuple[ShadowTask, ...] = ()) -> None:
        """What a worker does with a job, in short."""
        claimed = self.ledger.leases.claim(job_id, "t", 60)
        assert claimed is not None
        result = to_result(a_prediction(), STUDY, sr_uid="1.2.9", routing={}, documents=("sr",))
        self.ledger.leases.complete(
            claimed.token,
            result=result.to_json(),
            documents_by_kind={"sr": b"DICM"},
            deliveries_to_make=[],
            stages_s={"fetch": 0.1},
            model="ich-triage",
            shadows=shadows,
            study_key="st-1",
        )

    def fail(self, code: str, job: str | None = None, documents: Mapping[str, bytes] | None = None) -> None:
        """Have a job end with an error: the first that is due, unless one is named."""
        due = [job] if job else [found.id for found in self.ledger.leases.due(1, unclaimed_s=0)]
        claimed = self.ledger.leases.claim(due[0], "t", 60)
        assert claimed is not None
        self.ledger.leases.fail(claimed.token, code, "why", documents_by_kind=documents or {})
