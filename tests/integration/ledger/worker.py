"""A process of its own that is killed in the middle of what it does: `python -m` this module, with

submit URL OUT          submits jobs and writes each id to OUT after the ledger acknowledged it
work URL OUT NAME       claims, works and completes; writes `job token` to OUT after the ledger acknowledged it
deliver URL OUT NAME    carries out the outbox; writes `job delivery` to OUT before it says so to the ledger
"""

from __future__ import annotations

import itertools
import os
import sys
import time

from core.retry import RetryPolicy
from core.study import StudyRef
from ledger import Delivery, JobRequest, LeaseLost, Ledger
from tests.unit.ledger.routed import claim_due

LEASE_S = 0.5
WORK_S = 0.02


def submit(ledger: Ledger, out: int) -> None:
    for number in itertools.count():
        request = JobRequest(StudyRef("pacs", f"1.2.{os.getpid()}.{number}"))
        done = ledger.jobs.submit(request, idempotency_key=None, tenant="ris")
        write(out, done.job.id)


def work(ledger: Ledger, out: int, name: str) -> None:
    while True:
        for claimed in claim_due(ledger, 2, name, LEASE_S):
            time.sleep(WORK_S)
            try:
                ledger.leases.complete(
                    claimed.token,
                    result={"by": name},
                    documents_by_kind={"sr": name.encode()},
                    deliveries_to_make=[Delivery("stow", "pacs", "sr")],
                    stages_s={},
                    model="ich",
                )
            except LeaseLost:
                continue
            write(out, f"{claimed.job.id} {claimed.token}")


def deliver(ledger: Ledger, out: int, name: str) -> None:
    while True:
        for due in ledger.outbox.claim_deliveries(name, LEASE_S, 2):
            write(out, f"{due.job_id} {due.id}")
            ledger.outbox.delivered(due.id)


def write(out: int, line: str) -> None:
    os.write(out, f"{line}\n".encode())  # one call: whole lines, also from several processes


def main(role: str, url: str, path: str, *name: str) -> None:
    ledger = Ledger.open(url, RetryPolicy(worker_losses=1000))
    out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    if role == "submit":
        submit(ledger, out)
    {"work": work, "deliver": deliver}[role](ledger, out, *name)


if __name__ == "__main__":
    main(*sys.argv[1:])
