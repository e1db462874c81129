"""Any interleaving of callers, workers and their deaths: no job is lost, none is completed twice.

Seen from outside, a job only ever moves as `ledger.state` allows, and every object of a study is read.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.errors import JobNotCancelable
from core.retry import RetryPolicy
from core.study import StudyRef
from ledger import (
    FINISHED,
    ClaimedDelivery,
    ClaimedJob,
    Delivery,
    JobRequest,
    JobState,
    LeaseLost,
    Ledger,
    Priority,
)
from ledger.state import may_move
from tests.unit.ledger.conftest import Clock
from tests.unit.ledger.routed import claim_due

LEASE_S = 10


class LedgerMachine(RuleBasedStateMachine):
    """Workers may hold stale claims for as long as they like; the clock only moves forward."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.ledger = Ledger.open(
            self.new_url(), RetryPolicy(worker_losses=1000, longest_pause_s=1.0), self.clock
        )
        self.submitted: list[str] = []
        self.claims: list[ClaimedJob] = []
        self.completions: dict[str, int] = {}
        self.failures: Counter[str] = Counter()
        self.states: dict[str, JobState] = {}
        self.arrived: set[str] = set()
        self.read: set[str] = set()
        self.deliveries: list[ClaimedDelivery] = []

    def new_url(self) -> str:
        """An empty database for this example."""
        return f"sqlite:///{Path(self.folder.name) / 'ledger.db'}"

    @rule()
    def submit(self) -> None:
        request = JobRequest(StudyRef("pacs", f"1.{len(self.submitted)}"))
        submitted = self.ledger.jobs.submit(request, idempotency_key=None, tenant="ris")
        self.submitted.append(submitted.job.id)

    @rule(number=st.integers(0, 9))
    def an_object_arrives(self, number: int) -> None:
        """Of one study; often one that came before."""
        self.arrived.add(f"s3://in/{number}")
        submitted = self.ledger.jobs.submit_object(
            StudyRef("s3", "1.2.3"),
            f"s3://in/{number}",
            model="",
            priority=Priority.URGENT,
            inference_type="triage",
            tenant="ris",
            stable_age_s=LEASE_S,
        )
        if submitted.job.id not in self.submitted:
            self.submitted.append(submitted.job.id)

    @rule()
    def the_study_is_complete(self) -> None:
        self.ledger.jobs.complete_study("1.2.3", "ris")

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        named = [job for job in self.submitted if not self.ledger.jobs.get(job).study.inputs]
        if not named:
            return
        with suppress(JobNotCancelable):
            self.ledger.jobs.cancel(data.draw(st.sampled_from(named)))

    @rule(limit=st.integers(1, 3))
    def claim_deliveries(self, limit: int) -> None:
        self.deliveries += self.ledger.outbox.claim_deliveries("a", LEASE_S, limit)

    @rule(data=st.data(), arrived=st.booleans(), last=st.booleans())
    def a_delivery_ends(self, data: st.DataObject, arrived: bool, last: bool) -> None:
        if not self.deliveries:
            return
        delivery = data.draw(st.sampled_from(self.deliveries))
        if arrived:
            self.ledger.outbox.delivered(delivery.id)
            return
        retry_at = None if last else self.clock()
        self.ledger.outbox.delivery_failed(delivery.id, "a", "no", retry_at=retry_at)

    @rule(seconds=st.integers(1, LEASE_S * 2))
    def time_passes(self, seconds: int) -> None:
        self.clock.at += timedelta(seconds=seconds)

    @rule(worker=st.sampled_from("ab"), limit=st.integers(1, 3))
    def claim(self, worker: str, limit: int) -> None:
        self.claims += claim_due(self.ledger, limit, worker, LEASE_S)

    @rule(data=st.data(), deliver=st.booleans())
    def complete(self, data: st.DataObject, deliver: bool) -> None:
        if not self.claims:
            return
        claimed = data.draw(st.sampled_from(self.claims))
        try:
            self.ledger.leases.complete(
                claimed.token,
                result={},
                documents_by_kind={"sr": b"x"},
                deliveries_to_make=[Delivery("stow", "pacs", "sr")] if deliver else [],
                stages_s={},
                model="m",
            )
        except LeaseLost:
            return
        self.completions[claimed.job.id] = self.completions.get(claimed.job.id, 0) + 1
        self.read |= set(claimed.job.study.inputs)

    @rule(data=st.data(), counts=st.booleans())
    def fail_for_now(self, data: st.DataObject, counts: bool) -> None:
        if not self.claims:
            return
        claimed = data.draw(st.sampled_from(self.claims))
        try:
            self.ledger.leases.retry(claimed.token, "source-timeout", "x", at=self.clock(), counts=counts)
            self.failures[claimed.job.id] += counts
        except LeaseLost:
            return

    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        if self.claims:
            with suppress(LeaseLost):
                self.ledger.leases.release(data.draw(st.sampled_from(self.claims)).token)

    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        if self.claims:
            self.ledger.leases.renew([data.draw(st.sampled_from(self.claims)).token], LEASE_S)

    @invariant()
    def only_a_failure_that_counts_costs_an_attempt(self) -> None:
        for job_id in self.submitted:
            job = self.ledger.jobs.get(job_id)
            begun = job.state in (JobState.RUNNING, JobState.STORING, JobState.COMPLETED)
            if job.state is not JobState.CANCELED:
                assert job.attempt == self.failures[job_id] + begun

    @invariant()
    def no_job_is_completed_twice(self) -> None:
        assert all(count == 1 for count in self.completions.values())

    @invariant()
    def no_job_is_lost(self) -> None:
        assert sum(self.ledger.jobs.counts().values()) == len(self.submitted)

    @invariant()
    def every_move_is_legal(self) -> None:
        for job in self.submitted:
            before, after = self.states.get(job), self.ledger.jobs.get(job).state
            assert before in (None, after) or may_move(before, after), f"{before} to {after}"
            self.states[job] = after

    def teardown(self) -> None:
        """Whatever happened before: with time and one honest worker every job ends."""
        self.clock.at += timedelta(seconds=LEASE_S * 3)
        while claimed := claim_due(self.ledger, 5, "honest", LEASE_S):
            for each in claimed:
                self.read |= set(each.job.study.inputs)
                self.ledger.leases.complete(
                    each.token,
                    result={},
                    documents_by_kind={},
                    deliveries_to_make=[],
                    stages_s={},
                    model="m",
                )
        while due := self.ledger.outbox.claim_deliveries("honest", LEASE_S, 5):
            for delivery in due:
                self.ledger.outbox.delivered(delivery.id)
        assert all(self.ledger.jobs.get(job).state in FINISHED for job in self.submitted)
        assert self.read == self.arrived
        self.ledger.close()
        self.folder.cleanup()


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
