"""A stack, a PACS and studies for the benchmarks that need them live, and the callers that read them.

Everything runs on one machine, the callers too: they are threads of the benchmark's own process and share its
cores with Ray. What they cost hits every contender alike.
"""

from __future__ import annotations

import itertools
import math
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from imaging.samples.synthetic import make_ct_study
from registry.client import RegistryClient
from serve_apps.embedded.demo_models import DEMO_MODELS, register_version
from tests.orthanc import Orthanc
from tests.stack import LiveStack, eventually

MODEL = "ich-triage"
SOURCE = "pacs"
WAIT_S = 60
MAX_CALLERS = 64
BACK_OFF_S = 0.25
WARM_WITHIN_S = 180.0


@dataclass(frozen=True, slots=True)
class StudyShape:
    """How many studies there are, each of a patient of its own, and how large: `(slices, size, size)`."""

    number: int = 40
    slices: int = 24
    size: int = 256


@dataclass(frozen=True, slots=True)
class Site:
    """A stack that is up and has a champion, and the studies its PACS holds."""

    stack: LiveStack
    registry: RegistryClient
    studies: tuple[str, ...]

    def register(self, demo_version: int) -> str:
        """Register a demo version of the model (from 1) once more; returns the number MLflow gave it."""
        (demo,) = (model for model in DEMO_MODELS if model.name == MODEL)
        return register_version(self.stack.settings, demo.versions[demo_version - 1]).version

    def point(self, alias: str, version: str) -> None:
        self.registry.set_alias(MODEL, alias, version)

    def put(self, path: str, body: dict[str, Any]) -> None:
        """Change the model's route: `weight` or `shadow`."""
        with self.stack.http() as http:
            http.put(f"/v1/routes/{MODEL}/{path}", json=body).raise_for_status()

    def wait_warm(self, version: str) -> None:
        eventually(lambda: self._is_warm(version) or None, WARM_WITHIN_S, f"version {version} to be warm")

    def _is_warm(self, version: str) -> bool:
        with self.stack.http() as http:
            variants = http.get("/v1/models").json()["variants"]
        return any(v["version"] == version and v["state"] == "warm" for v in variants)


@contextmanager
def live_site(shape: StudyShape, *sources: dict[str, Any], **settings: Any) -> Iterator[Site]:
    """A fresh stack in a temporary folder with version 1 as its champion; taken down whatever happens.

    `sources` are others than the PACS, and `settings` other than the defaults.
    """
    with tempfile.TemporaryDirectory(prefix="serinus-") as folder, Orthanc(Path(folder)) as pacs:
        say("a PACS with studies, and a stack")
        studies = fill(pacs, Path(folder), shape)
        source = {"id": SOURCE, "kind": "dicomweb", "base_url": pacs.dicomweb_url}
        stack = LiveStack(Path(folder) / "state", [source, *sources], **settings)
        try:
            stack.up()
            site = Site(stack, RegistryClient(stack.settings.registry_url), studies)
            site.point("champion", site.register(1))
            site.wait_warm("1")
            yield site
        finally:
            stack.down()


def fill(pacs: Orthanc, folder: Path, shape: StudyShape) -> tuple[str, ...]:
    """Put the studies into the PACS; returns their UIDs."""
    return tuple(_push(pacs, folder, shape, number) for number in range(shape.number))


def _push(pacs: Orthanc, folder: Path, shape: StudyShape, number: int) -> str:
    datasets = make_ct_study(seed=f"benchmark-{number}", slices=shape.slices, size=shape.size)
    paths = [folder / f"{index}.dcm" for index in range(len(datasets))]
    for dataset, path in zip(datasets, paths, strict=True):
        dataset.PatientID = f"PATIENT-{number:03d}"
        dataset.save_as(path, enforce_file_format=True)
    pacs.push(paths)
    return str(datasets[0].StudyInstanceUID)


# ---- callers


@dataclass(frozen=True, slots=True)
class Reading:
    """One call. Times are of `time.time()`; `result` is None when the call was refused (429 or 503)."""

    study: str
    due_s: float
    ended_s: float
    result: dict[str, Any] | None
    job: str = ""

    @property
    def latency_ms(self) -> float:
        """From when the call was due, so that a late caller hides nothing."""
        return (self.ended_s - self.due_s) * 1e3


Read = Callable[[str], tuple[dict[str, Any] | None, str]]


class SerinusCaller:
    """Reads a study by `POST /v1/jobs` with `Prefer: wait`. Callable from many threads."""

    def __init__(self, stack: LiveStack, outputs: Sequence[str] = ()) -> None:
        self._http = http_client(stack.settings.api_url, {"X-API-Key": stack.key})
        self._outputs = list(outputs)

    def __call__(self, study: str) -> tuple[dict[str, Any] | None, str]:
        body = {"study_uid": study, "source": SOURCE, "model": MODEL, "outputs": self._outputs, "force": True}
        answer = self._http.post("/v1/jobs", json=body, headers={"Prefer": f"wait={WAIT_S}"})
        return result_of(answer), answer.headers.get("X-Serinus-Job", "")


def http_client(base_url: str, headers: dict[str, str] | None = None) -> httpx.Client:
    limits = httpx.Limits(max_connections=MAX_CALLERS, max_keepalive_connections=MAX_CALLERS)
    return httpx.Client(
        base_url=base_url, headers=headers, timeout=WAIT_S + 10, limits=limits, trust_env=False
    )


def result_of(answer: httpx.Response) -> dict[str, Any] | None:
    """The result, or None for a refusal by overload; raises RuntimeError for whatever else is no result."""
    if answer.status_code == httpx.codes.OK:
        return dict(answer.json())
    if answer.status_code in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE):
        return None
    raise RuntimeError(f"a study was not read: {answer.status_code} {answer.text[:300]}")


@dataclass(frozen=True, slots=True)
class Block:
    """What callers saw within one turn."""

    readings: tuple[Reading, ...]
    elapsed_s: float

    @property
    def latencies_ms(self) -> list[float]:
        return [r.latency_ms for r in self.readings if r.result is not None]

    @property
    def refused(self) -> int:
        return sum(r.result is None for r in self.readings)


def merged(blocks: Sequence[Block]) -> Block:
    """Several turns of one contender as if they had been one."""
    readings = tuple(itertools.chain.from_iterable(block.readings for block in blocks))
    return Block(readings, sum(block.elapsed_s for block in blocks))


def closed_loop(read: Read, studies: Sequence[str], *, callers: int, seconds: float) -> Block:
    """So many callers, each with one study after the other, until the time is over; the last ones are awaited."""
    with Callers(read, studies, callers) as running:
        time.sleep(seconds)
    return running.block()


class Callers:
    """A closed loop as a context: it reads until the context ends. `readings` may be looked at meanwhile."""

    def __init__(self, read: Read, studies: Sequence[str], number: int) -> None:
        self._read = read
        self._studies = studies
        self._number = number
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(number)
        self._futures: list[Future[None]] = []
        self.readings: list[Reading] = []

    def __enter__(self) -> Callers:
        self._started = time.time()
        step = max(1, len(self._studies) // self._number)
        self._futures = [self._pool.submit(self._run, caller * step) for caller in range(self._number)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        for future in self._futures:
            future.result()

    def block(self) -> Block:
        ended = max((r.ended_s for r in self.readings), default=self._started)
        return Block(tuple(self.readings), ended - self._started)

    def _run(self, first: int) -> None:
        for index in itertools.count(first):
            if self._stop.is_set():
                return
            reading = timed(self._read, self._studies[index % len(self._studies)], time.time())
            self.readings.append(reading)
            if reading.result is None:
                time.sleep(BACK_OFF_S)


def open_loop(read: Read, studies: Sequence[str], *, per_s: float, seconds: float) -> Block:
    """A study every `1 / per_s` seconds, however long the others take."""
    started = time.time()
    futures = []
    with ThreadPoolExecutor(MAX_CALLERS) as pool:
        for index in range(max(1, round(per_s * seconds))):
            due = started + index / per_s
            time.sleep(max(0.0, due - time.time()))
            futures.append(pool.submit(timed, read, studies[index % len(studies)], due))
    readings = tuple(future.result() for future in futures)
    return Block(readings, max(r.ended_s for r in readings) - started)


def timed(read: Read, study: str, due_s: float) -> Reading:
    result, job = read(study)
    return Reading(study, due_s, time.time(), result, job)


# ---- figures


def quantile(values: Sequence[float], q: float) -> float:
    """The smallest value that at least a share `q` of the values does not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(len(values) * q) - 1)]


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as their longest cell; the first to the left, figures to the right."""
    cells = [[_cell(value) for value in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        first, *rest = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join((first, *rest)).rstrip(), flush=True)


def _cell(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def say(text: str) -> None:
    """Tell how far it is, apart from the figures."""
    print(f"… {text}", file=sys.stderr, flush=True)
