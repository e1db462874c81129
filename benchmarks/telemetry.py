"""What does all that is seen of a study cost, in CPU of our processes, and what does MLflow take for its trace?

    python -m benchmarks.telemetry [--studies 2000] [--repeats 5] [--no-mlflow]

Studies that end one after the other at an embedded ledger (SQLite), each with the record that a worker writes. `make`
and `write` are in the study's process: the record, and its row within the transaction that ends the job. Everything
else is in the leading controller, beside the load: the views read the stored records in batches, as the chores do.
`traces` are sent by OTLP/HTTP to a receiver in another process, and every study's is kept. CPU of this process in
microseconds per study, the median of the repeats, which take turns with one another.

MLflow is a real embedded server; its CPU is that of its processes, without what they use while nothing happens.
Goals: at most 300 us in our processes, at most 10,000 us in MLflow.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, Final

import psutil

from ledger import Ledger
from ledger.study_records import append_record
from observability.names import Stage
from observability.record import StageTiming, StudyTrace
from observability.redaction import Pseudonymiser
from observability.traces.sinks import HttpSink, Sink
from observability.traces.spans import Form
from registry.server import start_embedded, stop_embedded
from serve_apps.adapters.tracing import mlflow_sink
from serve_apps.application.export_traces import TraceExport
from serve_apps.application.study_traces import StudyTraces
from serve_apps.settings import Settings
from tests.unit.shell.builders import a_prediction, a_variant, a_version
from tests.unit.shell.worker_fakes import a_job, a_study

GOAL_US: Final = 300.0
MLFLOW_GOAL_US: Final = 10_000.0
IDLE_S: Final = 5.0
TOGETHER: Final = 100  # so many end between two looks of the views
MS: Final = 10**6
KEYS: Final = Pseudonymiser(b"k" * 32)
OF_STUDY: Final = (Stage.FETCH, Stage.SELECT, Stage.DECODE)
OF_VERSION: Final = (Stage.PREPARE, Stage.WAIT, Stage.FORWARD, Stage.INTERPRET)


def main() -> None:
    asked = _options()
    turns = [our_cpu_us(asked.studies) for _ in range(asked.repeats)]
    print(f"{asked.studies} studies, {asked.repeats} repeats\n")
    print("| part | where | CPU of a study, us |\n|---|---|---|")
    for part in turns[0]:
        where = "study's process" if part in ("make", "write") else "controller"
        print(f"| {part} | {where} | {median(turn[part] for turn in turns):.0f} |")
    total = median(sum(turn.values()) for turn in turns)
    in_study = median(turn["make"] + turn["write"] for turn in turns)
    print(f"| all | | {total:.0f} (goal {GOAL_US:.0f}) |")
    free = median(sum(turn.values()) - turn["costs"] for turn in turns)
    print(f"| all, of a site without a price book | | {free:.0f} (goal {GOAL_US:.0f}) |")
    print(f"\nof these in the study's process: {in_study:.0f} us")
    if not asked.no_mlflow:
        print_mlflow(asked.studies)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-mlflow", action="store_true")
    return parser.parse_args()


@dataclass(frozen=True, slots=True)
class Ended:
    """A study as it has ended, from which its record is made."""

    job: Any
    analysis: Any
    own: tuple[StageTiming, ...]

    @property
    def record(self) -> StudyTrace:
        return StudyTraces(KEYS, "site").completed(self.job, self.analysis, self.own)


def ended(number: int, at_ns: int) -> Ended:
    """With every stage that a study of one champion has, each of 20 ms."""
    version = a_version()
    timed = iter(range(100))

    def timings(stages: tuple[Stage, ...]) -> tuple[StageTiming, ...]:
        starts = [at_ns + 20 * MS * next(timed) for _ in stages]
        return tuple(
            StageTiming(*one) for one in zip(stages, starts, (s + 20 * MS for s in starts), strict=True)
        )

    own = timings((Stage.QUEUE,))
    study = replace(a_study(), stages=timings(OF_STUDY), bytes_received=20 << 20)
    of_version = timings(OF_VERSION)
    inference = SimpleNamespace(
        stages=of_version, prediction=a_prediction(), device="cpu", replica="mv-1#a", batch_size=1, gpu=None
    )
    outcome = SimpleNamespace(version=version, inference=inference, variant=a_variant(version), failures=())
    stages = (*study.stages, *of_version, *timings((Stage.REPORT,)))
    analysis = SimpleNamespace(stages=stages, outcome=outcome, study=study, routed=None)
    job = a_job(f"{number:032x}")
    job = replace(job, attempt=1, study=replace(job.study, study_uid=f"1.2.840.{number}"))
    return Ended(job, analysis, own)


def our_cpu_us(studies: int) -> Mapping[str, float]:
    """By part, of one turn with a ledger of its own."""
    now_ns = time.time_ns()
    done = [ended(number, now_ns + number * MS) for number in range(studies)]
    gc.collect()
    gc.freeze()  # what the benchmark itself holds is nothing to look through again and again
    spent: dict[str, float] = {}
    with a_ledger() as ledger, a_receiver() as endpoint:
        sink = HttpSink(endpoint, dict)
        export = TraceExport("otlp", sink, Form.CHILD_OF_CALLER, ledger.traces, KEYS, 1.0)
        views: Mapping[str, Callable[[], object]] = {
            "metrics": lambda: until_done(lambda: ledger.metrics.fold(1.0)),
            "drift": lambda: until_done(ledger.drift.fold),
            "costs": lambda: until_done(ledger.costs.fold),
            "traces": export.look,
        }
        for first in range(0, studies, TOGETHER):
            part = done[first : first + TOGETHER]
            with timed(spent, "make"):
                records = [one.record for one in part]
            with ledger.database.write() as connection:
                at = ledger.database.now(connection)
                with timed(spent, "write"):
                    for record in records:
                        append_record(connection, record, at)
            for name, view in views.items():
                with timed(spent, name):
                    view()
        sink.close()
    return {part: seconds / studies * 1e6 for part, seconds in spent.items()}


@contextmanager
def timed(spent: dict[str, float], part: str) -> Iterator[None]:
    begun = time.process_time()
    yield
    spent[part] = spent.get(part, 0.0) + time.process_time() - begun


def until_done(fold: Callable[[], bool]) -> None:
    while fold():
        pass


@contextmanager
def a_ledger() -> Iterator[Ledger]:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db")
        yield ledger
        ledger.close()


@contextmanager
def a_receiver() -> Iterator[str]:
    """The address of an OTLP/HTTP receiver that reads and forgets, in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    ours, its = spawn.Pipe()
    process = spawn.Process(target=receive, args=(its,), daemon=True)
    process.start()
    yield f"http://127.0.0.1:{ours.recv()}/v1/traces"
    process.terminate()
    process.join()


def receive(port: Any) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port.send(server.server_port)
    server.serve_forever()


def print_mlflow(studies: int) -> None:
    """In batches as the controller sends them, and one study at a time, which is what was done before."""
    with tempfile.TemporaryDirectory() as folder:
        server = start_embedded(Path(folder) / "mlflow", free_port())
        try:
            sink = mlflow_sink(Settings(mlflow_url=server.url))
            idle_us_s = mlflow_cpu_us(server.pid, lambda: time.sleep(IDLE_S)) / IDLE_S
            print("\n| MLflow takes | CPU of a study, us |\n|---|---|")
            for title, count, at_once in (("batches", studies, True), ("one study at a time", 100, False)):
                begun = time.monotonic()
                spent_us = mlflow_cpu_us(server.pid, lambda n=count, b=at_once: send(sink, n, together=b))
                spent_us -= idle_us_s * (time.monotonic() - begun)
                print(f"| {title} | {spent_us / count:.0f} (goal {MLFLOW_GOAL_US:.0f}) |")
            sink.close()
        finally:
            stop_embedded(Path(folder) / "mlflow")


def send(sink: Sink, studies: int, *, together: bool) -> None:
    now_ns = time.time_ns()
    with a_ledger() as ledger:
        export = TraceExport("mlflow", sink, Form.OWN_ROOT, ledger.traces, KEYS, 1.0)
        for number in range(studies):
            ledger.study_records.add(ended(number, now_ns + number * MS).record)
            if not together:
                export.look()
        export.look()


def mlflow_cpu_us(pid: int, work: Callable[[], object]) -> float:
    """What the server and its children used meanwhile."""

    def used_s() -> float:
        leader = psutil.Process(pid)
        times = [one.cpu_times() for one in (leader, *leader.children(recursive=True))]
        return sum(one.user + one.system for one in times)

    before_s = used_s()
    work()
    return (used_s() - before_s) * 1e6


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
