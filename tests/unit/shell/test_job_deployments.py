"""What Ingress, JobWorker and Outbox say to each other of jobs; who cannot be told holds nobody up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import pytest
from ray.serve.config import DeploymentID
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from core.errors import Overloaded
from ledger import JobState
from serve_apps.adapters import job_deployments
from serve_apps.adapters.draining import is_draining
from serve_apps.adapters.job_deployments import JobBroadcast, ServeJobWorkers
from serve_apps.application.messages import JobOutcome
from tests.unit.shell.test_serve_inference import Method
from tests.unit.shell.worker_fakes import a_job

JOB = a_job()


class Replicas:
    """Every deployment's replicas: each takes a message, or raises, or never answers."""

    def __init__(self, *, error: Exception | None = None, times: int = 10_000, hangs: bool = False) -> None:
        self.error = error
        self.times = times
        self.hangs = hangs
        self.told: list[tuple[str, str, object]] = []

    async def __call__(self, deployment: str, method: str, message: object) -> Sequence[Awaitable[object]]:
        if self.error is not None and deployment == "JobWorker" and self.times > 0:
            self.times -= 1
            raise self.error
        self.told.append((deployment, method, message))
        return [self._reply(), self._reply()]

    async def _reply(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()


async def test_every_deployment_is_told() -> None:
    replicas = Replicas()
    await JobBroadcast(("JobWorker", "Outbox"), "watch", replicas).watch(JOB.id)
    await JobBroadcast(("Ingress",), "job_ended", replicas).job_ended(JOB.id)
    assert replicas.told == [
        ("JobWorker", "watch", JOB.id),
        ("Outbox", "watch", JOB.id),
        ("Ingress", "job_ended", JOB.id),
    ]


async def test_a_deployment_that_a_new_handle_does_not_know_yet_is_told_a_moment_later() -> None:
    """The first broadcast of a process comes before Serve has told the handle which replicas there are."""
    replicas = Replicas(error=DeploymentUnavailableError(DeploymentID("JobWorker", "serinus")), times=2)
    await JobBroadcast(("JobWorker",), "watch", replicas).watch(JOB.id)
    assert replicas.told == [("JobWorker", "watch", JOB.id)]


async def test_a_deployment_that_is_away_keeps_no_other_from_being_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_deployments, "TELL_S", 0.2)
    replicas = Replicas(error=KeyError("JobWorker"))
    await JobBroadcast(("JobWorker", "Outbox"), "watch", replicas).watch(JOB.id)
    assert [deployment for deployment, *_ in replicas.told] == ["Outbox"]


async def test_a_replica_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_deployments, "TELL_S", 0.001)
    await asyncio.wait_for(JobBroadcast(("Ingress",), "job_ended", Replicas(hangs=True)).job_ended(JOB.id), 5)


class WorkerHandle:
    """A handle of JobWorker."""

    def __init__(self, run: Method) -> None:
        self.run = run
        self.options_given: dict[str, object] = {}

    def options(self, **options: object) -> WorkerHandle:
        self.options_given = options
        return self


async def test_a_job_is_one_small_call_of_a_worker() -> None:
    outcome = JobOutcome(JOB.id, JobState.COMPLETED, {})
    handle = WorkerHandle(Method(outcome))
    assert await ServeJobWorkers(handle).run(JOB.id, JOB.place, 30.0) is outcome
    assert handle.run.calls == [(JOB.id, JOB.place, 30.0)]
    assert handle.options_given == {"_by_reference": False}


async def test_an_error_of_a_worker_is_one_of_ours() -> None:
    handle = WorkerHandle(Method(BackPressureError(1, 1)))
    with pytest.raises(Overloaded):
        await ServeJobWorkers(handle).run(JOB.id, JOB.place)


def test_a_process_that_is_no_replica_does_not_drain() -> None:
    assert not is_draining()
