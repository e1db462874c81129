"""The ShadowWorker replica over a real ledger: a study that lies there is read at once; what is stopped goes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from canary.disclosure import OF_THE_PAST, Role
from core.errors import WorkerLost
from ledger import JobRequest, JobState, Ledger, ShadowTask
from serve_apps.application.messages import FetchedStudy
from serve_apps.deployments import shadow_worker
from serve_apps.settings import Settings
from tests.unit.shell.shadows import SHADOW_VERSION, STUDY, Port, a_claim, a_snapshot_of, a_study

MAX_WAIT_S = 0.3


class HandlePort(Port):
    """Study reader and versions, whose handles need no preparation."""

    async def prepare(self, endpoints: object) -> None:
        return

    def borrowed(self, study: FetchedStudy) -> FetchedStudy:
        return study


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """The defaults; a test may give the age at which a shadow waits no longer."""
    settings = Settings(state_dir=tmp_path, shadow_max_wait_s=getattr(request, "param", 300.0))
    settings.paths.pseudonym_key.parent.mkdir()
    settings.paths.pseudonym_key.write_text("ab" * 32)
    return settings


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Port:
    made = HandlePort()
    monkeypatch.setattr(shadow_worker, "ServeReader", lambda *_: made)
    monkeypatch.setattr(shadow_worker, "ServeInference", lambda *_: made)
    return made


@pytest.fixture
async def worker(settings: Settings, port: Port) -> AsyncIterator[Any]:
    """A replica as Serve makes and ends it, without Serve."""

    class Replica(shadow_worker.ShadowWorker.func_or_class):  # type: ignore[misc,name-defined] # the class itself
        """A class of this test's own, since its destructor is taken away at the end."""

    replica = Replica.__new__(Replica)
    await replica.__init__(settings, None)  # type: ignore[misc]
    await replica.push_snapshot(replace(a_snapshot_of(), generation=1))
    yield replica
    await replica.__del__()
    Replica.__del__ = lambda self: None  # the collector comes later


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger.open(settings.ledger)


def a_job_with_shadows(ledger: Ledger, *roles: Role) -> str:
    submitted = ledger.jobs.submit(JobRequest(STUDY), tenant="ris", idempotency_key=None)
    claimed = ledger.leases.claim(submitted.job.id, "w", 60)
    assert claimed is not None
    claims = [a_claim(role=role) for role in roles]
    fields = ShadowTask.__dataclass_fields__
    ledger.leases.complete(
        claimed.token,
        result={},
        documents_by_kind={},
        deliveries_to_make=[],
        stages_s={},
        model="ich-triage",
        shadows=[ShadowTask(**{name: getattr(claim, name) for name in fields}) for claim in claims],
        study_key="st-1",
    )
    return submitted.job.id


async def until_read(ledger: Ledger, number: int) -> None:
    async with asyncio.timeout(20):
        while len(ledger.shadows.outcomes("ich-triage")) < number:
            await asyncio.sleep(0.02)


async def test_a_study_that_lies_there_is_read_by_all_roles_and_fetched_by_none(
    worker: Any, ledger: Ledger, port: Port
) -> None:
    job = a_job_with_shadows(ledger, Role.SHADOW, Role.SAFETY_NET, Role.RECALL)
    await worker.notify(job, a_study("held"))
    await until_read(ledger, 3)
    assert sorted((version, volume) for version, volume, _ in port.asked) == [
        ("1", "held"),
        ("1", "held"),
        ("2", "held"),
    ]
    assert port.fetched == []
    await worker.check_health()


async def test_what_is_asked_for_of_the_past_is_read_when_nothing_else_is_due(
    worker: Any, ledger: Ledger, port: Port
) -> None:
    claims = [replace(a_claim(role=role), version="2", app=SHADOW_VERSION.app_name) for role in OF_THE_PAST]
    fields = ShadowTask.__dataclass_fields__
    tasks = [ShadowTask(**{name: getattr(claim, name) for name in fields}) for claim in claims]
    ledger.shadows.enqueue("job", tasks, "st-1")
    await until_read(ledger, len(tasks))
    assert {result.role for result in ledger.shadows.outcomes("ich-triage")} == {"replay", "ground-truth"}


async def test_neither_role_waits_for_the_other(worker: Any, ledger: Ledger, port: Port) -> None:
    shadow_hangs, predict_when_idle = asyncio.Event(), port.predict_when_idle

    async def hang(*args: Any) -> Any:
        await shadow_hangs.wait()
        return await predict_when_idle(*args)

    port.predict_when_idle = hang  # type: ignore[method-assign]
    job = a_job_with_shadows(ledger, Role.SHADOW, Role.SAFETY_NET)
    await worker.notify(job, a_study("held"))
    await until_read(ledger, 1)
    (result,) = ledger.shadows.outcomes("ich-triage")
    assert result.role == "safety-net"
    shadow_hangs.set()
    await until_read(ledger, 2)


@pytest.fixture
def live_study(ledger: Ledger) -> str:
    """A study in a worker's hands, before the replica starts and for longer than a test."""
    job = ledger.jobs.submit(JobRequest(STUDY), tenant="ris", idempotency_key=None).job
    assert ledger.leases.claim(job.id, "w", 60) is not None
    return job.id


@pytest.mark.parametrize("settings", [MAX_WAIT_S], indirect=True)
async def test_a_shadow_is_read_beside_a_load_that_never_ends_once_it_is_old_enough(
    live_study: str, worker: Any, ledger: Ledger
) -> None:
    pending_at = time.monotonic()
    job = a_job_with_shadows(ledger, Role.SHADOW)
    await worker.notify(job, a_study("held"))
    await until_read(ledger, 1)
    assert time.monotonic() - pending_at >= MAX_WAIT_S, "it did not wait for the live study at all"
    assert ledger.jobs.get(live_study).state is JobState.RUNNING


async def test_a_worker_that_was_lost_under_the_safety_net_costs_seconds(
    worker: Any, ledger: Ledger, port: Port
) -> None:
    port.raises = [WorkerLost("killed")]
    job = a_job_with_shadows(ledger, Role.SAFETY_NET)
    await worker.notify(job, a_study("held"))
    async with asyncio.timeout(8):
        await until_read(ledger, 1)
    assert len(port.asked) == 2


async def test_a_replica_that_is_stopped_hands_its_task_back_at_once(
    worker: Any, ledger: Ledger, port: Port
) -> None:
    port.hanging = asyncio.Event()
    job = a_job_with_shadows(ledger, Role.SAFETY_NET)
    await worker.notify(job, a_study("held"))
    async with asyncio.timeout(20):
        while not port.asked:
            await asyncio.sleep(0.02)
    for loop in worker._loops:
        loop.cancel()
    await asyncio.gather(*worker._loops, return_exceptions=True)
    (again,) = ledger.shadows.claim("another", 60, 1)
    assert (again.job_id, again.attempt, again.losses) == (job, 1, 0)
