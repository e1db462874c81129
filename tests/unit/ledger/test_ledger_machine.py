"""Any interleaving of callers, workers and their deaths: no job is lost, none is completed twice."""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ledger import FINISHED, ClaimedJob, Delivery, JobRequest, LeaseLost, Ledger
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

    def new_url(self) -> str:
        """An empty database for this example."""
        return f"sqlite:///{Path(self.folder.name) / 'ledger.db'}"

    @rule()
    def submit(self) -> None:
        request = JobRequest(f"1.{len(self.submitted)}", "pacs")
        submitted = self.ledger.jobs.submit(request, idempotency_key=None, tenant="ris", now=self.clock)
        self.submitted.append(submitted.job.id)

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

    def teardown(self) -> None:
        """Whatever happened before: with time and one honest worker every job ends."""
        self.clock += timedelta(seconds=LEASE_S * 3)
        while claimed := self.ledger.leases.claim("honest", now=self.clock, lease_s=LEASE_S, limit=5):
            for each in claimed:
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
        self.ledger.close()
        self.folder.cleanup()


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
