"""What do many registered versions cost while nothing changes? The controller's tick, the shadows' poll, MLflow's.

    python -m benchmarks.many_versions [--versions 2 10 50] [--ticks 1000]

Nothing here needs the memory of so many replicas; what is measured is said exactly:

tick       `Reconciler.tick` with all its real parts (observe, decide, apply, publish, note) over the hand-written
           fakes of the unit tests for MLflow, Serve, the ledger and the routers. Half as many models as versions,
           each with a champion and a shadow, all of them ready. CPU time of this process, and the calls that a tick
           makes of MLflow and of Serve, and the snapshots that it writes and pushes. `one moved`: between two ticks
           the champion of one model moved. Goal: under 100 ms at 500 models (1000 versions).
decisions  what a tick reads of a real ledger (SQLite): the head, and what people decided for every model.
poll       `ledger.shadows.claim` of a real ledger for all these applications: with nothing pending, and with a
           backlog that belongs to another application. Time, and SQL statements.
registry   one poll of a real MLflow in which so many versions are registered: CPU time of server and client.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
import sqlalchemy as sa

from benchmarks.live import print_table, say
from canary.explain import DecisionRow
from core.retry import RetryPolicy
from core.study import StudyRef
from ledger import Ledger, ShadowTask
from ledger.database import Database
from registry.client import RegistryClient
from registry.server import start_embedded, stop_embedded
from serve_apps.application.messages import app_name
from serve_apps.embedded.ports import free_ports
from tests.unit.shell.controller_site import ControllerSite

TURNS = 60
BACKLOG = 500
POLLS = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--versions", type=int, nargs="+", default=[2, 10, 50])
    parser.add_argument(
        "--ticks", type=int, nargs="*", default=[1000], help="more versions, for the tick alone"
    )
    arguments = parser.parse_args()
    numbers = arguments.versions
    say("ticks")
    ticks = [(number, *asyncio.run(_ticks(number))) for number in (*numbers, *arguments.ticks)]
    head = ("versions", "idle tick, CPU ms", "MLflow", "Serve", "snapshots", "one moved, CPU ms", "snapshots")
    print_table(head, ticks)
    say("polls of the ledger")
    print()
    polls = [(number, *_ledger_polls(number)) for number in numbers]
    head = ("versions", "decisions ms", "SQL", "poll, idle ms", "SQL", "poll, backlog ms", "SQL")
    print_table(head, polls)
    say("polls of MLflow")
    print()
    print_table(("versions", "server CPU ms", "client CPU ms"), _registry_polls(numbers))


# ---- the tick


async def _ticks(versions: int) -> tuple[float, float, float, float, float, float]:
    site = ControllerSite()
    for number in range(versions // 2):
        model = f"model-{number}"
        site.mlflow.register("1", "champion", model=model)
        site.mlflow.register("2", "shadow-2", model=model)
        site.routing.decide(model)
    await site.settle()
    await site.tick(3)
    before = len(site.mlflow.calls), site.serve.looks, len(site.control.written)
    idle_ms = [await _tick_ms(site) for _ in range(TURNS)]
    after = len(site.mlflow.calls), site.serve.looks, len(site.control.written)
    calls = tuple((b - a) / TURNS for a, b in zip(before, after, strict=True))
    moved_ms = []
    written = len(site.control.written)
    for turn in range(TURNS):
        site.mlflow.alias("champion", "12"[turn % 2], model="model-0")
        moved_ms.append(await _tick_ms(site))
    published = (len(site.control.written) - written) / TURNS
    return (median(idle_ms), *calls, median(moved_ms), published)  # type: ignore[return-value]


async def _tick_ms(site: ControllerSite) -> float:
    site.clock.now += 0.5
    started = time.process_time()
    await site.reconciler.tick()
    await site.publisher.flush()
    return (time.process_time() - started) * 1e3


# ---- the ledger


def _ledger_polls(versions: int) -> tuple[float, int, float, int, float, int]:
    with tempfile.TemporaryDirectory(prefix="serinus-") as folder:
        database = Database(f"sqlite:///{folder}/ledger.db")
        ledger = Ledger(database, RetryPolicy())
        for number in range(versions // 2):
            ledger.routing.set_weight(f"model-{number}", "2", 100, actor="benchmark")
        apps = frozenset(app_name(f"model-{number // 2}", "12"[number % 2]) for number in range(versions))

        def decisions() -> None:
            ledger.control.head()
            ledger.routing.all()

        def poll() -> None:
            assert ledger.shadows.claim("benchmark", 10.0, 1, apps) == ()

        row: list[float] = [*_timed(database, decisions), *_timed(database, poll)]
        for number in range(BACKLOG):
            ledger.shadows.enqueue(f"job-{number}", [_task()])
        row += _timed(database, poll)
        ledger.close()
    return tuple(row)  # type: ignore[return-value]


def _task() -> ShadowTask:
    """A task of an application that no poll here asks for."""
    decision = DecisionRow(
        identity="",
        model="elsewhere",
        generation=1,
        assignment_reason="",
        arm="",
        variant="shadow-1",
        version="1",
        digest="",
        role="shadow",
        outcome="due",
        reason="",
    )
    return ShadowTask(
        app=app_name("elsewhere", "1"),
        role="shadow",
        model="elsewhere",
        version="1",
        variant="shadow-1",
        study=StudyRef("pacs", "1.2.3"),
        decision=decision,
        delivered={},
    )


def _timed(database: Database, call: Callable[[], None]) -> tuple[float, int]:
    """Median milliseconds of a call, and its SQL statements."""
    with _statements(database) as statements:
        call()
    elapsed = []
    for _ in range(TURNS):
        started = time.perf_counter()
        call()
        elapsed.append((time.perf_counter() - started) * 1e3)
    return median(elapsed), len(statements)


@contextmanager
def _statements(database: Database) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        if not statement.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            seen.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(database.engine, "before_cursor_execute", note)


# ---- MLflow


@dataclass(frozen=True, slots=True)
class _Cpu:
    server_s: float
    client_s: float


def _registry_polls(numbers: Sequence[int]) -> list[tuple[int, float, float]]:
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="serinus-") as folder:
        server = start_embedded(Path(folder), port=port)
        try:
            client = RegistryClient(f"http://127.0.0.1:{port}")
            rows, registered = [], 0
            for number in sorted(numbers):
                while registered < number:
                    _register(client, registered)
                    registered += 1
                rows.append((number, *_poll_ms(client, server.pid)))
            client.close()
        finally:
            stop_embedded(Path(folder))
    return rows


def _register(client: RegistryClient, number: int) -> None:
    name = f"model-{number // 2}"
    if number % 2 == 0:
        client._send("POST", "/registered-models/create", {"name": name})
    client._send("POST", "/model-versions/create", {"name": name, "source": "s3://nowhere/model"})
    client.set_alias(name, ("champion", "shadow-2")[number % 2], str(number % 2 + 1))


def _poll_ms(client: RegistryClient, pid: int) -> tuple[float, float]:
    client.models()
    before = _Cpu(_tree_seconds(pid), time.process_time())
    for _ in range(POLLS):
        client.models()
    after = _Cpu(_tree_seconds(pid), time.process_time())
    return (
        (after.server_s - before.server_s) / POLLS * 1e3,
        (after.client_s - before.client_s) / POLLS * 1e3,
    )


def _tree_seconds(pid: int) -> float:
    process = psutil.Process(pid)
    tree = [process, *process.children(recursive=True)]
    return sum(sum(member.cpu_times()[:2]) for member in tree)


if __name__ == "__main__":
    main()
