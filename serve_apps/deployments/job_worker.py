"""Runs jobs, one per request: Serve counts them, scales on them, and waits for them when a replica is replaced.

Which job begins is decided by the gate (STAT first); which worker has it, by the lease in the ledger. `kill -9` a
replica, and another one goes on with its jobs.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

from core.errors import PoisonStudy
from core.priority import QueuePlace
from core.private_files import write_privately
from imaging.volume import Volume
from ledger import FormerReports, Ledger, TakenTurn
from observability.event_log import configure_logging
from serve_apps.adapters.after_job import ServeAfterJob
from serve_apps.adapters.apart_readers import ApartProcess, ApartReaders
from serve_apps.adapters.archives import Archives
from serve_apps.adapters.draining import is_draining
from serve_apps.adapters.job_deployments import JobBroadcast, ServeJobWorkers
from serve_apps.adapters.living_workers import living_workers, own_worker_name
from serve_apps.adapters.serve_inference import ServeInference, ServeReader
from serve_apps.adapters.shared_objects import GiveBackByHandle, pack
from serve_apps.adapters.tracing import pseudonymiser
from serve_apps.application.analyse_study import SiteRules, Workplace
from serve_apps.application.end_job import EndingContext, JobEnding
from serve_apps.application.executors import run_in
from serve_apps.application.failure_report import FailureReporter
from serve_apps.application.fetch_with_fallback import FallbackFetcher, ParkedStudies
from serve_apps.application.lease_keeper import LeaseKeeper
from serve_apps.application.loans import Borrower, Loan, LoanBook
from serve_apps.application.lost_workers import LostWorkers
from serve_apps.application.messages import JobOutcome
from serve_apps.application.recover_jobs import JobRecovery
from serve_apps.application.routing_state import RoutingState
from serve_apps.application.run_job import JobRunner, RunnerContext
from serve_apps.application.study_traces import StudyTraces
from serve_apps.application.watched_jobs import WatchedJobs
from serve_apps.deployments.routing_replica import RoutingReplica
from serve_apps.settings import Settings

logger = logging.getLogger("serinus.worker")
DEPLOYMENT = "JobWorker"
DRAIN_LOOK_S = 0.2
PARKED_FOR = timedelta(days=1)  # after a restart of the worker


@serve.deployment(
    max_ongoing_requests=10_000,  # they wait in the gate, where STAT overtakes; Serve's own queue has no order
    health_check_period_s=2,
    graceful_shutdown_timeout_s=600,
    graceful_shutdown_wait_loop_s=0.2,
    max_surge_percent=100,
)
class JobWorker(RoutingReplica):
    """Runs each job as one request to `run`; by its other methods it hears what is new."""

    async def __init__(  # type: ignore[misc] # Serve awaits it
        self,
        settings: Settings,
        reader: DeploymentHandle,
        outbox: DeploymentHandle,
        shadow_worker: DeploymentHandle,
    ) -> None:
        write_privately()
        configure_logging("INFO")
        self._settings = settings
        self._pools = Pools()
        self._borrower = borrower = Borrower(GiveBackByHandle())
        self._ledger = await asyncio.to_thread(Ledger.open, settings.ledger, settings.retry_policy)
        self._book = LoanBook(DEPLOYMENT, settings.volume_loan_s, pack)
        self._apart = ApartReaders(lambda: ApartProcess(settings), self._lend)
        parked = await asyncio.to_thread(self._ledger.failures.studies, PoisonStudy.code, PARKED_FOR)
        together = ServeReader(reader, borrower, self._pools.handles)
        self._fetcher = FallbackFetcher(together, self._apart, ParkedStudies(parked))
        self._port = ServeInference(self._fetcher, borrower, self._pools.handles)
        self._routing = RoutingState(self._ledger.control, self._port.prepare)
        await self._routing.start()
        self._keeper = LeaseKeeper(self._ledger.leases.renew, settings.lease_s)
        self._keeper.start()
        self._watched = WatchedJobs(JobBroadcast(("Ingress",), "job_ended"))
        self._archives = Archives(settings)
        self._after = ServeAfterJob(self._watched, outbox, shadow_worker, borrower.drop)
        self._name = own_worker_name()
        self._rules = site_rules(settings)
        self._runner = self._make_runner()
        workers = ServeJobWorkers()
        recovery = JobRecovery(
            self._ledger.leases.due,
            lambda job: workers.run(job.id, job.place),
            self._runner,
            settings.jobs_per_worker,
            self._pools.ledger,
            LostWorkers(self._name, self._ledger.leases, living_workers, self._pools.recovery).look,
        )
        loops = (
            self._routing.follow_forever(),
            recovery.run_forever(),
            borrower.give_back_forever(),
        )
        self._loops = [asyncio.create_task(loop) for loop in loops]
        self._draining = asyncio.create_task(self._drain_when_replaced())

    async def run(self, job_id: str, place: QueuePlace, waiter_s: float | None = None) -> JobOutcome:
        """Run the job, or join it if it runs here; for a caller who waits, until its reports are stored too."""
        if is_draining():
            self._runner.stop_taking()
        outcome = await self._runner.run(job_id, place)
        return await self._after.delivered(outcome, waiter_s)

    async def give_back(self, ids: tuple[str, ...]) -> None:
        """Nobody reads these loans any more: of studies that were read apart, whose volumes are a worker's."""
        self._book.give_back(ids)

    async def check_health(self) -> None:
        self._book.forget()
        await super().check_health()

    async def watch(self, job_id: str) -> None:
        """Remember to tell every Ingress of the job's end, should it end here."""
        self._watched.watch(job_id)

    async def __del__(self) -> None:
        await self._runner.drain(0.0)
        for task in (*self._loops, self._draining):
            task.cancel()
        await self._borrower.give_back()  # or their lender keeps them until they run out
        self._keeper.close()
        self._routing.close()
        self._fetcher.close()
        self._apart.close()
        await self._archives.aclose()
        self._pools.close()
        self._ledger.close()

    async def _drain_when_replaced(self) -> None:
        """As soon as Serve replaces this replica, hand back what has not begun; later also what did not end."""
        while not is_draining():  # noqa: ASYNC110 - Serve offers nothing to wait for
            await asyncio.sleep(DRAIN_LOOK_S)
        logger.info("worker.draining")
        await self._runner.drain(self._settings.longest_job_s)

    def _lend(self, volume: Volume) -> Loan:
        return self._book.lend(ray.put(volume))

    def _make_runner(self) -> JobRunner:
        settings, ledger = self._settings, self._ledger
        ending = JobEnding(
            EndingContext(
                endings=ledger.leases,
                policy=settings.retry_policy,
                keys=self._rules.keys,
                sources=self._archives.source,
                traces=StudyTraces(self._rules.keys, settings.site, self._name),
                after=self._after,
                ledger=self._pools.ledger,
                failure_report=FailureReporter(
                    lambda: self._routing.snapshot,
                    self._former_reports,
                    self._pools.cpu,
                    by_default=settings.failure_sr,
                ).report,
            )
        )
        return JobRunner(
            RunnerContext(
                worker=self._name,
                slots=settings.jobs_per_worker,
                lease_s=settings.lease_s,
                claims=ledger.leases,
                jobs=ledger.jobs,
                keeper=self._keeper,
                ending=ending,
                place=Workplace(
                    lambda: self._routing.snapshot,
                    self._port,
                    self._rules,
                    self._pools.cpu,
                    former_reports=self._former_reports,
                    take_turn=self._take_turn,
                ),
                ledger=self._pools.ledger,
            )
        )

    async def _former_reports(self, study_uid: str, model: str, before: datetime) -> FormerReports:
        return await run_in(self._pools.ledger, self._ledger.jobs.former_reports, study_uid, model, before)

    async def _take_turn(self, token: str, key: str) -> TakenTurn:
        return await run_in(self._pools.ledger, self._ledger.readings.take_turn, token, key)


class Pools:
    """Threads by what they are for, so that no kind of work waits behind another. Serve's pool has five for all."""

    def __init__(self) -> None:
        self.ledger = ThreadPoolExecutor(4, "ledger")
        self.recovery = ThreadPoolExecutor(1, "recovery")
        self.cpu = ThreadPoolExecutor(2, "reports")
        self.handles = ThreadPoolExecutor(2, "handles")

    def close(self) -> None:
        for pool in (self.ledger, self.recovery, self.cpu, self.handles):
            pool.shutdown(wait=False, cancel_futures=True)


def site_rules(settings: Settings) -> SiteRules:
    return SiteRules(
        site=settings.site,
        policy=settings.site_policy,
        keys=pseudonymiser(settings),
        fetch_s=settings.fetch_timeout_s,
        fetch_call_s=settings.fetch_call_s,
        forward_s=settings.forward_timeout_s,
        stable_reserve_s=settings.stable_reserve_s,
        canary_timeout_s=settings.canary_timeout_s,
        input_policy=settings.input_policy,
    )
