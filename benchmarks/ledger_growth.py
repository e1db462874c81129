"""Whether what a site does all day slows down with what it ever read: a million jobs in the ledger beside none.

    python -m benchmarks.ledger_growth [--jobs 1000000] [--rounds 60] [--database sqlite|postgresql]

Both have the same day: open jobs, and what finished in the last 24 hours. One has two years of finished jobs besides,
with their deliveries, documents, decisions and keys of readings. Each operation is timed on both in turns, so that
what else the machine does harms both alike; the medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from canary.assignment import StudyFacts, assign
from canary.explain import DecisionRow, decision_row
from canary.routing_table import RoutingTable, Variant
from core.clock import now
from core.errors import PoisonStudy
from core.study import StudyRef
from ledger import ClaimedJob, Delivery, Job, JobRequest, JobState, Ledger
from ledger.tables import decisions, deliveries, documents, jobs, microseconds, readings
from tests.postgres import Postgres

HISTORY: Final = timedelta(days=730)
DAY: Final = timedelta(days=1)
TODAY: Final = 1400  # jobs that finished in the last 24 hours: a million in two years
OPEN: Final = 50
MOST: Final = 2.0
CHAMPION: Final = Variant("champion", "1", "digest", "mv-ich-1")
DOCUMENT: Final = b"DICM" * 50  # small, since a million are written; a document is read by its key


@dataclass
class Timed:
    """One of the two ledgers, and how long each operation took on it, in milliseconds."""

    ledger: Ledger
    times: dict[str, list[float]] = field(default_factory=dict)

    def time(self, operation: str, work: Callable[[Ledger], Any]) -> Any:
        start = time.perf_counter()
        found = work(self.ledger)
        self.times.setdefault(operation, []).append((time.perf_counter() - start) * 1e3)
        return found


def main() -> None:
    options = _options()
    with _two_ledgers(options.database) as (empty, full):
        seconds = time.perf_counter()
        for ledger, history in ((empty, 0), (full, options.jobs)):
            _fill(ledger, history)
        print(f"filled in {time.perf_counter() - seconds:.0f} s: {_size(full)}", flush=True)
        both = Timed(empty), Timed(full)
        for index in range(options.rounds):
            for each in both:
                _one_round(each, index)
    _print_table(options.database, options.jobs, *both)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    return parser.parse_args()


@contextmanager
def _two_ledgers(database: str) -> Iterator[tuple[Ledger, Ledger]]:
    with tempfile.TemporaryDirectory() as folder, _urls(database, Path(folder)) as urls:
        both = tuple(Ledger.open(url) for url in urls)
        try:
            yield both[0], both[1]
        finally:
            for ledger in both:
                ledger.close()


@contextmanager
def _urls(database: str, folder: Path) -> Iterator[tuple[str, str]]:
    if database == "sqlite":
        yield f"sqlite:///{folder}/empty.db", f"sqlite:///{folder}/full.db"
        return
    with Postgres() as server:
        yield server.new_database(), server.new_database()


def _one_round(on: Timed, index: int) -> None:
    """A job's way, and all that looks at the ledger meanwhile."""
    job = on.time("submit", lambda ledger: _submit(ledger, index))
    on.time("open jobs", lambda ledger: ledger.jobs.open_jobs())
    on.time("due", lambda ledger: ledger.leases.due(4, 0.0))
    claimed = on.time("claim", lambda ledger: ledger.leases.claim(job.id, "w", 60.0))
    on.time("take turn", lambda ledger: ledger.readings.take_turn(claimed.token, f"reading-{index}"))
    on.time("former report", lambda ledger: ledger.jobs.former_reports("1.2.9", "ich", job.created_at))
    on.time("complete", lambda ledger: _complete(ledger, claimed))
    (delivery,) = on.time("claim of deliveries", lambda ledger: ledger.outbox.claim_of_job(job.id, "w", 60.0))
    on.time("delivered", lambda ledger: ledger.outbox.delivered(delivery.id))
    on.time("deliveries due", lambda ledger: ledger.outbox.claim_deliveries("w", 60.0, 4))
    on.time("result", lambda ledger: ledger.jobs.result(job.id))
    on.time("list, newest", lambda ledger: ledger.jobs.list_jobs())
    on.time("list, of a study", lambda ledger: ledger.jobs.list_jobs(study_uid="1.2.9"))
    on.time("list, of a model", lambda ledger: ledger.jobs.list_jobs(model="ich"))
    on.time("list, queued", lambda ledger: ledger.jobs.list_jobs(state=JobState.QUEUED))
    on.time("list, failed", lambda ledger: ledger.jobs.list_jobs(state=JobState.FAILED))
    on.time("queue: jobs by state", lambda ledger: ledger.jobs.counts())
    on.time("queue: pending shadows", lambda ledger: ledger.shadows.backlog())
    on.time("queue: dead letters", lambda ledger: ledger.outbox.dead_letters())
    on.time("queue: poison studies", lambda ledger: ledger.failures.number(PoisonStudy.code, DAY))
    since = now() - timedelta(minutes=10)
    on.time("watch: who read", lambda ledger: ledger.decisions.assigned_since("ich", since))
    on.time("watch: champion fails", lambda ledger: ledger.decisions.champion_failures("ich", since))
    on.time("audit: append", lambda ledger: ledger.audit.append("bench", "look", "ledger", {}))


def _submit(ledger: Ledger, index: int) -> Job:
    request = JobRequest(StudyRef("pacs", f"1.9.{index}"))
    return ledger.jobs.submit(request, idempotency_key=f"key-{index}", tenant="ris").job


def _complete(ledger: Ledger, claimed: ClaimedJob) -> None:
    ledger.leases.complete(
        claimed.token,
        result={"score": 87},
        documents_by_kind={"sr": DOCUMENT},
        deliveries_to_make=[Delivery("stow", "pacs", "sr")],
        stages_s={"fetch": 0.5},
        model="ich",
        decisions=(_decision(),),
        study_key="study-key",
    )


def _decision() -> DecisionRow:
    table = RoutingTable(1, "ich", CHAMPION)
    return decision_row(
        assign(StudyFacts("s", "p"), table), "ich", role="answered", outcome="normal", latency_ms=12.5
    )


def _fill(ledger: Ledger, history: int) -> None:
    """The same day in both: what is open, what has finished; and before it `history` jobs, evenly over two years."""
    seed = _submit(ledger, -1)
    claimed = ledger.leases.claim(seed.id, "w", 60.0)
    assert claimed is not None
    ledger.readings.take_turn(claimed.token, "seed")
    _complete(ledger, claimed)
    (delivery,) = ledger.outbox.claim_of_job(seed.id, "w", 60.0)
    ledger.outbox.delivered(delivery.id)
    for index in range(OPEN):
        ledger.jobs.submit(JobRequest(StudyRef("pacs", f"1.7.{index}")), idempotency_key=None, tenant="ris")
    engine = sa.create_engine(
        ledger.database.engine.url
    )  # without the patience that bounds a transaction of ours
    with engine.begin() as connection:
        _multiply(connection, seed.id, TODAY, timedelta(0), DAY)
        if history:
            _multiply(connection, seed.id, history, DAY, HISTORY)
    if not ledger.database.is_sqlite:
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")  # as autovacuum does by itself
    engine.dispose()


def _multiply(connection: sa.Connection, seed: str, number: int, ago: timedelta, span: timedelta) -> None:
    """So many jobs like the seed, with all that belongs to each: the first `ago`, the last `span` before it."""
    count = sa.select(sa.literal(1).label("i")).cte("numbers", recursive=True)
    count = count.union_all(sa.select(count.c.i + 1).where(count.c.i < number))
    step, first = span // number // timedelta(microseconds=1), microseconds(now() - ago)
    at = sa.literal(first, sa.BigInteger) - count.c.i * sa.literal(step, sa.BigInteger)
    kind = count.c.i % 20
    state = sa.case((kind == 0, JobState.FAILED), (kind == 1, JobState.CANCELED), else_=JobState.COMPLETED)
    sqlite = connection.dialect.name == "sqlite"
    new_id = (
        sa.func.lower(sa.func.hex(sa.func.randomblob(16)))
        if sqlite
        else sa.func.md5(sa.func.random().cast(sa.Text))
    )
    study = sa.literal(f"1.5.{number}.") + count.c.i.cast(sa.Text)
    times = dict.fromkeys(("created_at", "not_before", "scheduled_at", "finished_at"), at)
    _copy(
        connection,
        jobs,
        jobs.c.id == seed,
        count,
        {"id": new_id, "study_uid": study, "state": state, **times},
    )
    copies = jobs.alias("copies")
    new = copies.c.study_uid.like(f"1.5.{number}.%")
    own = {"job_id": copies.c.id}
    for table, changed in (
        (documents, own),
        (
            deliveries,
            {**own, "id": copies.c.id, "created_at": copies.c.created_at, "not_before": copies.c.created_at},
        ),
        (decisions, {**own, "at": copies.c.finished_at, "assigned_at": copies.c.finished_at}),
        (readings, {**own, "key": copies.c.id}),
    ):
        _copy(connection, table, (table.c.job_id == seed) & new, copies, changed)


def _copy(
    connection: sa.Connection,
    table: sa.Table,
    which: sa.ColumnElement[bool],
    beside: sa.FromClause,
    changed: dict[str, sa.ColumnElement[Any]],
) -> None:
    names = list(table.c.keys())
    columns = [changed.get(name, table.c[name]) for name in names]
    rows = sa.select(*columns).select_from(table.join(beside, sa.true())).where(which)
    connection.execute(sa.insert(table).from_select(names, rows))


def _size(ledger: Ledger) -> str:
    with ledger.database.read() as connection:
        number = connection.execute(sa.select(sa.func.count()).select_from(jobs)).scalar_one()
    file = ledger.database.file
    return f"{number} jobs" + (f", {file.stat().st_size >> 20} MiB" if file else "")


def _print_table(database: str, number: int, empty: Timed, full: Timed) -> None:
    print(f"| {database}: median, ms | no history | {number} jobs | ratio |\n|---|---|---|---|")
    worst = 0.0
    for operation, times in empty.times.items():
        before, after = statistics.median(times), statistics.median(full.times[operation])
        worst = max(worst, after / before)
        print(f"| {operation} | {before:.2f} | {after:.2f} | {after / before:.2f} |")
    print(f"\nthe worst ratio is {worst:.2f}; at most {MOST} is wanted")


if __name__ == "__main__":
    main()
