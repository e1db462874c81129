"""Any interleaving of callers, workers and their deaths: no job is lost, none is completed twice.

FindingStatus from outside, a job only ever moves as `ledger.state` allows, and every object of a study is read.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.errors import JobNotCancelable
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
from tests.unit.ledger.conftest import NOON

LEASE_S = 10


class LedgerMachine(RuleBasedStateMachine):
    """Workers may hold stale claims for as long as they like; the clock only moves forward."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = Ledger.open(self.new_url(), max_attempts=1000)
        self.clock: datetime = NOON
        self.submitted: list[str] = []
        self.claims: list[ClaimedJob] = []
        self.completions: dict[str, int] = {}
        self.states: dict[str, JobState] = {}
        self.arrived: set[str] = set()
        self.read: set[str] = set()
        self.deliveries: list[ClaimedDelivery] = []

    def new_url(self) -> str:
        """An empty database for this example."""
        return f"sqlite:///{Path(self.folder.name) / 'ledger.db'}"

    @rule()
    def submit(self) -> None:
        request = JobRequest(f"1.{len(self.submitted)}", "pacs")
        submitted = self.ledger.jobs.submit(request, idempotency_key=None, tenant="ris", now=self.clock)
        self.submitted.append(submitted.job.id)

    @rule(number=st.integers(0, 9))
    def an_object_arrives(self, number: int) -> None:
        """Of one study; often one that came before."""
        self.arrived.add(f"s3://in/{number}")
        submitted = self.ledger.jobs.submit_object(
            "1.2.3",
            f"s3://in/{number}",
            source="s3",
            model="",
            priority=Priority.URGENT,
            inference_type="triage",
            tenant="ris",
            stable_age_s=LEASE_S,
            now=self.clock,
        )
        if submitted.job.id not in self.submitted:
            self.submitted.append(submitted.job.id)

    @rule()
    def the_study_is_complete(self) -> None:
        self.ledger.jobs.complete_study("1.2.3", "ris", self.clock)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        named = [job for job in self.submitted if not self.ledger.jobs.get(job).inputs]
        if not named:
            return
        with suppress(JobNotCancelable):
            self.ledger.jobs.cancel(data.draw(st.sampled_from(named)), self.clock)

    @rule(limit=st.integers(1, 3))
    def claim_deliveries(self, limit: int) -> None:
        self.deliveries += self.ledger.outbox.claim_deliveries(
            "a", now=self.clock, lease_s=LEASE_S, limit=limit
        )

    @rule(data=st.data(), arrived=st.booleans(), last=st.booleans())
    def a_delivery_ends(self, data: st.DataObject, arrived: bool, last: bool) -> None:
        if not self.deliveries:
            return
        delivery = data.draw(st.sampled_from(self.deliveries))
        if arrived:
            self.ledger.outbox.delivered(delivery.id, self.clock)
            return
        retry_at = None if last else self.clock
        self.ledger.outbox.delivery_failed(delivery.id, "no", retry_at=retry_at, now=self.clock)

    @rule(seconds=st.integers(1, LEASE_S * 2))
    def time_passes(self, seconds: int) -> None:
        self.clock += timedelta(seconds=seconds)

    @rule(worker=st.sampled_from("ab"), limit=st.integers(1, 3))
    def claim(self, worker: str, limit: int) -> None:
        self.claims += self.ledger.leases.claim(worker, now=self.clock, lease_s=LEASE_S, limit=limit)

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
                now=self.clock,
            )
        except LeaseLost:
            return
        self.completions[claimed.job.id] = self.completions.get(claimed.job.id, 0) + 1
        self.read |= set(claimed.job.inputs)

    @rule(data=st.data())
    def fail_for_now(self, data: st.DataObject) -> None:
        if not self.claims:
            return
        claimed = data.draw(st.sampled_from(self.claims))
        try:
            self.ledger.leases.fail(claimed.token, "source-timeout", "x", retry_at=self.clock, now=self.clock)
        except LeaseLost:
            return

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
        self.clock += timedelta(seconds=LEASE_S * 3)
        while claimed := self.ledger.leases.claim("honest", now=self.clock, lease_s=LEASE_S, limit=5):
            for each in claimed:
                self.read |= set(each.job.inputs)
                self.ledger.leases.complete(
                    each.token,
                    result={},
                    documents_by_kind={},
                    deliveries_to_make=[],
                    stages_s={},
                    model="m",
                    now=self.clock,
                )
        while due := self.ledger.outbox.claim_deliveries("honest", now=self.clock, lease_s=LEASE_S, limit=5):
            for delivery in due:
                self.ledger.outbox.delivered(delivery.id, self.clock)
        assert all(self.ledger.jobs.get(job).state in FINISHED for job in self.submitted)
        assert self.read == self.arrived
        self.ledger.close()
        self.folder.cleanup()


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
