"""Any interleaving of studies, shadow workers and their deaths: no reading is lost, and none is told twice."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.retry import RetryPolicy
from core.study import StudyRef
from ledger import ClaimedJob, ClaimedShadow, JobRequest, LeaseLost, Ledger, ShadowTask
from ledger.retention import KeptFor
from tests.unit.ledger.conftest import Clock
from tests.unit.ledger.routed import claim_due, complete_study, decided, pending

LEASE_S = 10
NET = pending("safety-net", "app-1", "1")
Reading = tuple[str, str]  # job, role


class ShadowMachine(RuleBasedStateMachine):
    """Workers may hold stale claims for as long as they like; the clock only moves forward."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.ledger = Ledger.open(self.new_url(), RetryPolicy(worker_losses=1000), self.clock)
        self.studies: list[ClaimedJob] = []
        self.claims: list[ClaimedShadow] = []
        self.pending: set[Reading] = set()
        self.told: Counter[Reading] = Counter()

    def new_url(self) -> str:
        """An empty database for this example."""
        return f"sqlite:///{Path(self.folder.name) / 'ledger.db'}"

    @rule()
    def a_study_is_begun(self) -> None:
        request = JobRequest(StudyRef("pacs", "1.2.3"))
        self.ledger.jobs.submit(request, idempotency_key=None, tenant="ris")
        self.studies += claim_due(self.ledger, lease_s=LEASE_S)

    @rule(data=st.data(), tasks=st.sampled_from(((), (pending(),), (NET,), (pending(), NET))))
    def a_study_is_answered(self, data: st.DataObject, tasks: tuple[ShadowTask, ...]) -> None:
        """Perhaps by a worker whose lease is gone, or a second time."""
        if not self.studies:
            return
        study = data.draw(st.sampled_from(self.studies))
        with suppress(LeaseLost):
            complete_study(self.ledger, study.token, [decided()], tasks)
            self.pending |= {(study.job.id, task.role) for task in tasks}

    @rule(data=st.data())
    def the_readings_of_a_study_are_enqueued_again(self, data: st.DataObject) -> None:
        if not self.pending:
            return
        job, role = data.draw(st.sampled_from(sorted(self.pending)))
        task = pending() if role == "shadow" else NET
        self.ledger.shadows.enqueue(job, [task])

    @rule(seconds=st.integers(1, LEASE_S * 2))
    def time_passes(self, seconds: int) -> None:
        self.clock.at += timedelta(seconds=seconds)

    @rule(
        worker=st.sampled_from("ab"),
        limit=st.integers(1, 3),
        apps=st.sampled_from((None, ("app-1",), ("app-3",), ("app-9",))),
        roles=st.sampled_from((None, ("safety-net",))),
    )
    def claim(
        self, worker: str, limit: int, apps: tuple[str, ...] | None, roles: tuple[str, ...] | None
    ) -> None:
        self.claims += self.ledger.shadows.claim(worker, LEASE_S, limit, apps=apps, roles=roles)

    @rule(data=st.data(), how=st.sampled_from(("done", "failed", "again", "preempted", "renewed")))
    def a_reading_goes_on(self, data: st.DataObject, how: str) -> None:
        if not self.claims:
            return
        task = data.draw(st.sampled_from(self.claims))
        with suppress(LeaseLost):
            self.say(task, how)

    def say(self, task: ClaimedShadow, how: str) -> None:
        shadows = self.ledger.shadows
        if how == "done":
            shadows.done(task.token, {}, 1.0)
        elif how == "failed":
            shadows.failed(task.token, "model-error", None)
        elif how == "again":
            shadows.failed(task.token, "source-timeout", self.clock() + timedelta(seconds=5))
        elif how == "preempted":
            shadows.release(task.token)
        else:
            shadows.renew([task.token], LEASE_S)
        if how in ("done", "failed"):
            self.told[task.job_id, task.role] += 1

    @rule()
    def old_jobs_are_purged(self) -> None:
        kept_for = KeptFor(None, timedelta(seconds=LEASE_S), None)
        self.ledger.retention.purge(kept_for, actor="retention")

    @invariant()
    def no_reading_is_told_twice(self) -> None:
        assert all(count == 1 for count in self.told.values())

    @invariant()
    def every_reading_is_pending_or_told(self) -> None:
        open_ones = sum(self.ledger.shadows.backlog().values())
        ended = self.ledger.shadows.outcomes("ich", limit=1000)
        assert {(each.job_id, each.role) for each in ended} == set(self.told)
        assert open_ones + len(ended) == len(self.pending)

    def teardown(self) -> None:
        """Whatever happened before: with time and one honest worker every reading that was pending is told."""
        self.clock.at += timedelta(seconds=LEASE_S * 3)
        while due := self.ledger.shadows.claim("honest", LEASE_S, 5):
            for task in due:
                self.say(task, "done")
        assert set(self.told) == self.pending
        self.no_reading_is_told_twice()
        self.ledger.close()
        self.folder.cleanup()


TestShadowMachine = ShadowMachine.TestCase
TestShadowMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
