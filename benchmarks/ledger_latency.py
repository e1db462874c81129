"""How long an accepted job takes to write, to claim and to complete, on SQLite and on PostgreSQL.

    python -m benchmarks.ledger_latency [--jobs 500] [--finished 0]

Both databases write through to the disk (fsync). `--finished` fills the ledger with so many finished jobs first. The
probe is the disk alone: appending 4 KiB and fsync; what the ledger adds to it is ours. What is `idle` finds
nothing, with 50 applications registered.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from core.clock import now
from core.study import StudyRef
from ledger import ClaimedJob, Delivery, Job, JobRequest, JobState, Ledger, Priority
from ledger.tables import jobs
from tests.postgres import Postgres

DOCUMENT = os.urandom(20_000)  # a Comprehensive 3D SR has 10 to 20 kB
RESULT = {"score": 87, "findings": [{"code": "1386000", "probability": 0.91}] * 3}
OBJECTS = 200
APPS = tuple(f"mv-ich-{number}" for number in range(50))
LEASE_S = 60.0
Times = dict[str, list[float]]
T = TypeVar("T")


def main() -> None:
    options = _options()
    answer: dict[str, object] = {"jobs": options.jobs, "finished": options.finished}
    with tempfile.TemporaryDirectory() as folder, Postgres(fsync=True) as server:
        answer["probe"] = {"fsync": _summary(_probe(Path(folder), options.jobs))}
        for name, url in (
            ("sqlite", f"sqlite:///{folder}/ledger.db"),
            ("postgresql", server.new_database()),
        ):
            with _opened(url) as ledger:
                _fill(ledger, options.finished)
                times = _measure(ledger, options.jobs)
            answer[name] = {operation: _summary(each) for operation, each in times.items()}
    print(json.dumps(answer, indent=2))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--finished", type=int, default=0)
    return parser.parse_args()


@contextmanager
def _opened(url: str) -> Iterator[Ledger]:
    ledger = Ledger.open(url)
    try:
        yield ledger
    finally:
        ledger.close()


def _measure(ledger: Ledger, number: int) -> Times:
    """One caller and one worker, in turns, as in a department: a job is there, is claimed and is completed."""
    times: Times = {}
    for index in range(number):
        _timed(times, "submit", _submit, ledger, index)
        _timed(times, "admission (open jobs)", ledger.jobs.open_jobs)
        (job,) = _timed(times, "due", ledger.leases.due, 4, 0.0)
        claimed = _timed(times, "claim", ledger.leases.claim, job.id, "w", LEASE_S)
        assert claimed is not None
        _timed(times, "stage", ledger.leases.stage, claimed.token, "fetch")
        _timed(times, "complete", _complete, ledger, claimed)
        (delivery,) = _timed(
            times, "claim of its deliveries", ledger.outbox.claim_of_job, job.id, "w", LEASE_S
        )
        _timed(times, "delivered", ledger.outbox.delivered, delivery.id)
        _timed(times, "idle: due", ledger.leases.due, 4, 0.0)
        _timed(times, "idle: head", ledger.control.head)
        _timed(times, "idle: shadows", ledger.shadows.claim, "w", LEASE_S, 1, APPS)
    for index in range(OBJECTS):
        _timed(times, f"object, {OBJECTS} of a study", _arrive, ledger, index)
    return times


def _timed(times: Times, operation: str, work: Callable[..., T], *arguments: object) -> T:
    start = time.perf_counter()
    found = work(*arguments)
    times.setdefault(operation, []).append((time.perf_counter() - start) * 1e3)
    return found


def _submit(ledger: Ledger, index: int) -> Job:
    request = JobRequest(StudyRef("pacs", f"1.2.{index}"), context={"ward": "ED"})
    return ledger.jobs.submit(request, idempotency_key=uuid.uuid4().hex, tenant="ris").job


def _complete(ledger: Ledger, claimed: ClaimedJob) -> None:
    ledger.leases.complete(
        claimed.token,
        result=RESULT,
        documents_by_kind={"sr": DOCUMENT},
        deliveries_to_make=[Delivery("stow", "pacs", "sr")],
        stages_s={"fetch": 0.5},
        model="ich",
    )


def _arrive(ledger: Ledger, index: int) -> Job:
    return ledger.jobs.submit_object(
        StudyRef("s3", "1.3"),
        f"s3://incoming-studies/ct-head/1.3/{index:06}.dcm",
        model="ich",
        priority=Priority.URGENT,
        inference_type="triage",
        tenant="lambda",
        stable_age_s=60.0,
    ).job


def _fill(ledger: Ledger, number: int) -> None:
    """Finished jobs, as they lie there after some weeks."""
    if number == 0:
        return
    job = _submit(ledger, 0)
    with ledger.database.write() as connection:
        row = dict(connection.execute(sa.select(jobs).where(jobs.c.id == job.id)).mappings().one())
        old = row | {"state": JobState.COMPLETED, "finished_at": now(), "result": RESULT, "result_version": 1}
        rows = [old | {"id": uuid.uuid4().hex, "study_uid": f"1.4.{index}"} for index in range(number)]
        connection.execute(sa.insert(jobs), rows)
        connection.execute(sa.delete(jobs).where(jobs.c.id == job.id))


def _probe(folder: Path, number: int) -> list[float]:
    times: Times = {}
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(number):
            file.write(DOCUMENT[:4096])
            _timed(times, "fsync", os.fsync, file.fileno())
    return times["fsync"]


def _summary(times_ms: list[float]) -> dict[str, float]:
    ordered = sorted(times_ms)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {"p50_ms": round(statistics.median(ordered), 2), "p99_ms": round(p99, 2)}


if __name__ == "__main__":
    main()
