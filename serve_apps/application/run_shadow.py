"""Carries out what shadows and the safety net are to read: bounded, behind live studies, late but never lost.

    pending ──► in hand ──► done | failed       what is lost with its worker is pending again within seconds
       ▲           │
       └───────────┘  tried again

One task of each role at a time per replica, and no role waits for another. The safety net goes at once, since it may
have to warn somebody. A shadow, and the champion that reads a recalled study again, wait while live studies run; what
is older than `max_wait_s` runs beside them, so that steady load holds up no evidence. What is read of the past, for
replays and ground-truth sets, comes after all shadows that are due, and never beside a live study, however old it is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from canary.disclosure import OF_THE_PAST, Audience, Role
from canary.paired_study import UNEXPECTED
from core.clock import now
from core.errors import DeadlineExceeded, ModelUnavailable, SerinusError, WorkerLost
from core.priority import Priority, QueueOrder, queue_order
from core.retry import GIVE_UP, Attempts, FailureClass, RetryDecision, RetryPolicy, after_failure
from imaging.packed_mask import BrokenMask
from ledger import ClaimedShadow, LeaseLost
from observability.record import StudyTrace
from serve_apps.application.executors import run_in
from serve_apps.application.failed_work import work_of
from serve_apps.application.messages import (
    EligibleModel,
    FetchedStudy,
    FetchRequest,
    Inference,
    ServedVersion,
)
from serve_apps.application.ports import InferencePort
from serve_apps.application.recent_studies import RecentStudies
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.application.shadow import ShadowOutcome, disagreements_of, overlap_of, rule_of
from serve_apps.application.study_traces import StudyTraces
from serve_apps.application.until_noted import LeaseKeeping, until_noted
from serve_apps.application.wakeups import Wakeup

logger = logging.getLogger("serinus.shadow")
NOT_ITS_FAULT: Final = frozenset({FailureClass.WORKER_LOST, FailureClass.MODEL_AWAY})
PAUSE_PER_AGE: Final = (
    0.25  # a task of a minute waits for 15 s: a version that hangs does not hold up the others
)

P = ParamSpec("P")
T = TypeVar("T")


class ShadowRows(Protocol):
    """The pending tasks and their outcomes, in the ledger. What names a token raises LeaseLost."""

    def claim(
        self,
        worker: str,
        lease_s: float,
        limit: int,
        apps: Collection[str],
        roles: Collection[str],
        min_age_s: float,
    ) -> tuple[ClaimedShadow, ...]: ...

    def done(self, token: str, outcome: Mapping[str, Any], latency_ms: float, record: StudyTrace) -> None: ...

    def failed(
        self, token: str, code: str, retry_at: datetime | None, *, counts: bool, record: StudyTrace
    ) -> None: ...

    def release(self, token: str) -> None: ...


class EscalationRows(Protocol):
    """Critical disagreements; only those for the caller reach people."""

    def record(self, job_id: str, escalation: Mapping[str, Any], audience: Audience) -> bool: ...


class LiveJobs(Protocol):
    """The studies that callers wait for."""

    def any_running(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class ShadowLimits:
    """Seconds. `handover_s` is how long a task is left to the replica that was given its study."""

    lease_s: float = 6.0
    fetch_s: float = 120.0
    forward_s: float = 300.0
    max_wait_s: float = 300.0
    idle_s: float = 2.0
    busy_s: float = 0.5
    handover_s: float = 2.0
    note_again_s: float = 1.0


@dataclass(frozen=True, slots=True)
class ShadowContext:
    """What shadows need of the outside: of the ledger no more than these rows; its calls run in `executor`."""

    worker: str
    rows: ShadowRows
    escalations: EscalationRows
    live: LiveJobs
    port: InferencePort
    snapshot: Callable[[], RoutingSnapshot]
    recent: RecentStudies
    leases: LeaseKeeping
    traces: StudyTraces
    executor: Executor
    limits: ShadowLimits = ShadowLimits()
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    monotonic: Callable[[], float] = time.monotonic


class ShadowRunner:
    """Carries out the tasks of one role, one at a time; when none is due, those of the roles `afterwards`."""

    def __init__(self, role: Role, context: ShadowContext, afterwards: Collection[Role] = ()) -> None:
        self._role, self._is_net = role, role is Role.SAFETY_NET
        self._afterwards = tuple(one.value for one in afterwards)
        self._c = context
        self._woken, self._answered = 0, 0  # how often it was woken, and for which of these nothing is left
        self._wakeup = Wakeup()
        self._resting: dict[str, float] = {}  # versions that hang, until when others go first

    def wake(self) -> None:
        """Look for a task at once: a study is there whose task may begin."""
        self._woken += 1
        self._wakeup.ring()

    @property
    def _is_expecting(self) -> bool:
        """Whether a study came here whose task may still be pending."""
        return self._woken > self._answered

    async def run_forever(self) -> None:
        while True:
            try:
                has_run = await self.run_once()
            except Exception as error:  # noqa: BLE001 - outermost loop: the ledger may be away for a while
                logger.warning("shadow.claim_failed", extra={"error": type(error).__name__})
                has_run = False
            if not has_run:
                await self._pause()

    async def run_once(self) -> bool:
        """Carry out one task that is due and may run now; whether there was one."""
        limits = self._c.limits
        self._c.recent.forget()  # also when no study comes for hours
        is_held_back = not self._is_net and await self._ledger(self._c.live.any_running)
        woken, youngest_s = self._woken, 0.0 if self._is_expecting else limits.handover_s
        claimed = await self._claim((self._role.value,), limits.max_wait_s if is_held_back else youngest_s)
        if not claimed and not is_held_back:
            self._answered = woken  # one that came meanwhile is still to be looked for
            claimed = await self._claim(self._afterwards, 0.0) if self._afterwards else ()
        for task in claimed:
            await self._run(task)
        return bool(claimed)

    async def _claim(self, roles: tuple[str, ...], min_age_s: float) -> tuple[ClaimedShadow, ...]:
        c = self._c
        return await self._ledger(c.rows.claim, c.worker, c.limits.lease_s, 1, self._apps(), roles, min_age_s)

    def _apps(self) -> frozenset[str]:
        """The versions whose tasks may be taken. One that hung lets the others go first for as long as it took."""
        now_s = self._c.monotonic()
        self._resting = {app: until_s for app, until_s in self._resting.items() if until_s > now_s}
        return frozenset(self._c.snapshot().endpoints) - self._resting.keys()

    async def _run(self, claimed: ClaimedShadow) -> None:
        """Work until the task has ended, or another replica has its lease.

        Handed back when this replica is stopped.
        """
        work = asyncio.create_task(self._attempt(claimed))
        loop = asyncio.get_running_loop()
        self._c.leases.keep(claimed.token, partial(loop.call_soon_threadsafe, work.cancel))
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.shield(self._release(claimed))
            raise
        finally:
            self._c.leases.drop(claimed.token)

    async def _release(self, claimed: ClaimedShadow) -> None:
        with suppress(SerinusError):  # it was just done, or is pending again when the lease has run out
            await self._ledger(self._c.rows.release, claimed.token)

    async def _attempt(self, claimed: ClaimedShadow) -> None:
        started_s, started_ns = self._c.monotonic(), time.time_ns()
        try:
            await self._read(claimed, started_ns)
        except LeaseLost:
            logger.info("shadow.lease_lost", extra={"job": claimed.job_id})
        except Exception as error:  # noqa: BLE001 - a shadow may fail in any way and must harm nobody
            if isinstance(error, DeadlineExceeded):
                ended_s = self._c.monotonic()
                self._resting[claimed.app] = ended_s + (ended_s - started_s)
            await self._failed(claimed, error, started_ns)

    async def _read(self, claimed: ClaimedShadow, started_ns: int) -> None:
        version = self._c.snapshot().endpoints.get(claimed.app)
        if version is None:
            raise ModelUnavailable("the version of the shadow is not served now")
        study = self._c.recent.get(claimed.job_id) or await self._fetch(claimed)
        started = time.monotonic()
        inference = await self._predict(claimed, version, study)
        latency_ms = (time.monotonic() - started) * 1e3
        outcome = await self._outcome(claimed, version, inference)
        for disagreement in disagreements_of(claimed, outcome, self._c.snapshot()):
            logger.warning(
                "shadow.critical_disagreement",
                extra={"job": claimed.job_id, "audience": disagreement.audience.value},
            )
            await self._note(
                self._c.escalations.record,
                claimed.job_id,
                asdict(disagreement.escalation),
                disagreement.audience,
            )
        record = self._c.traces.shadow(claimed, (started_ns, time.time_ns()), study, inference)
        await self._note(self._c.rows.done, claimed.token, outcome.as_json(), latency_ms, record)

    async def _outcome(
        self, claimed: ClaimedShadow, version: ServedVersion, inference: Inference
    ) -> ShadowOutcome:
        outcome = ShadowOutcome.of(inference, version.spec)
        try:
            overlap = await run_in(self._c.executor, overlap_of, claimed, inference.prediction)
        except BrokenMask:  # a comparison less, and the reading counts
            logger.warning("shadow.broken_mask", extra={"job": claimed.job_id})
            return outcome
        return replace(outcome, overlap=overlap)

    async def _fetch(self, claimed: ClaimedShadow) -> FetchedStudy:
        """The same series as the delivered inference had, by the rule that chose it then."""
        fetch_s = self._c.limits.fetch_s
        request = FetchRequest(
            study=claimed.study,
            eligible=(EligibleModel(claimed.model, rule_of(claimed)),),
            order=self._order(claimed),
            deadline_s=fetch_s,
        )
        study = await self._c.port.fetch(request, fetch_s * 2)  # its own deadline begins behind a queue
        if not is_of_the_past(
            claimed
        ):  # it would take the place of a study that other roles are still to read
            self._c.recent.keep(claimed.job_id, study)
        return study

    async def _predict(
        self, claimed: ClaimedShadow, version: ServedVersion, study: FetchedStudy
    ) -> Inference:
        """Have the version predict, on idle cores where nobody waits for the version; not so once the task has waited
        long enough.
        """
        if not self._is_net and not self._is_overdue(claimed) and not self._answers(version):
            return await self._c.port.predict_when_idle(version, study, self._c.limits.forward_s)
        return await self._c.port.predict(version, study, self._c.limits.forward_s, self._order(claimed))

    def _answers(self, version: ServedVersion) -> bool:
        """Whether callers wait for this version: a thread for idle cores would hold them up."""
        tables = self._c.snapshot().tables.values()
        return any(version.app_name == v.app for table in tables for v in table.answering.values())

    def _is_overdue(self, claimed: ClaimedShadow) -> bool:
        if is_of_the_past(claimed):
            return False
        return now() - claimed.created_at >= timedelta(seconds=self._c.limits.max_wait_s)

    def _order(self, claimed: ClaimedShadow) -> QueueOrder:
        """The task's place in the queues: a shadow behind live studies, the safety net and what has waited among
        them.
        """
        is_urgent = self._is_net or self._is_overdue(claimed)
        return queue_order(Priority.ROUTINE if is_urgent else Priority.BATCH, claimed.created_at)

    async def _failed(self, claimed: ClaimedShadow, error: Exception, started_ns: int) -> None:
        """A task that failed for good counts as an outcome: a version that says nothing is a finding, too."""
        if isinstance(error, WorkerLost):
            self._c.recent.drop(claimed.job_id)  # the volume may be what was lost
        code = error.code if isinstance(error, SerinusError) else UNEXPECTED
        decision = retry_of(error, claimed, now(), self._c.retry)
        logger.info("shadow.failed", extra={"job": claimed.job_id, "code": code, "last": decision.at is None})
        took = (started_ns, time.time_ns())
        record = self._c.traces.shadow(claimed, took, error_code=code, work=work_of(error))
        note = partial(self._c.rows.failed, counts=decision.counts, record=record)
        try:
            await self._note(note, claimed.token, code, decision.at)
        except LeaseLost:
            logger.info("shadow.lease_lost", extra={"job": claimed.job_id})
            return
        if decision.at is not None:
            pause_s = max((decision.at - now()).total_seconds(), 0.0)
            asyncio.get_running_loop().call_later(pause_s + 0.01, self.wake)

    async def _pause(self) -> None:
        limits = self._c.limits
        await self._wakeup.wait(limits.busy_s if self._is_expecting else limits.idle_s)

    async def _ledger(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await run_in(self._c.executor, call, *args, **kwargs)

    async def _note(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> None:
        await until_noted(self._c.limits.note_again_s, lambda: self._ledger(call, *args, **kwargs))


def is_of_the_past(claimed: ClaimedShadow) -> bool:
    """Whether it is of a study that was answered long ago."""
    return Role(claimed.role) in OF_THE_PAST


def failing_since(claimed: ClaimedShadow) -> datetime:
    """From when its horizons count: a replay may wait for days before it is tried for the first time."""
    begun_at = claimed.first_tried_at if is_of_the_past(claimed) else None
    return begun_at or claimed.created_at


def retry_of(error: Exception, claimed: ClaimedShadow, at: datetime, policy: RetryPolicy) -> RetryDecision:
    """What is not the version's fault costs no attempt: a lost worker, a version that is away, a full machine."""
    if isinstance(error, DeadlineExceeded) or class_of(error) in NOT_ITS_FAULT:
        age_s = (at - failing_since(claimed)).total_seconds()
        if age_s >= policy.model_horizon_s:
            return GIVE_UP
        pause_s = min(max(age_s * PAUSE_PER_AGE, policy.first_pause_s), policy.longest_pause_s)
        return RetryDecision(at + timedelta(seconds=pause_s), counts=False)
    behind = Attempts(claimed.attempt - 1, claimed.losses, failing_since(claimed))
    return after_failure(class_of(error), behind, at, policy)


def class_of(error: Exception) -> FailureClass:
    """An exception that nobody foresaw is the version's failure: tried a few times, then an outcome."""
    return error.failure if isinstance(error, SerinusError) else FailureClass.MODEL_FAILED
