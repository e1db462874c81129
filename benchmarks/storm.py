"""What do live studies notice of a storm? `python -m benchmarks.storm --minutes 10`

Two callers have studies of a PACS read all the time, first in quiet, then while all of this goes on at once:

    bombs       every half minute a study that decodes to more than a reader may hold
    kills       every half minute, between the bombs, SIGKILL to StudyReader, as a fault of a decoder would end it
    bad studies one a second, of the list in tests/bad_studies, each in a folder of its own
    fuzzer      images with changed bytes, pushed by STOW-RS, five a second
    sockets     two hundred connections that send a byte now and then, with no key

and then in quiet again. Prints what the callers saw, how each hostile study ended, and what every process holds
before and after. No live study should fail, p99 stay within twice that of quiet, and memory come back.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.live import MODEL, SOURCE, WAIT_S, Site, StudyShape, live_site, print_table, quantile, say
from benchmarks.processes import title
from imaging.samples.synthetic import make_ct_study
from ledger import Ledger
from serve_apps.adapters.memory_watcher import field_bytes
from serve_apps.embedded.processes import owned_processes
from tests.bad_studies import CASES
from tests.bombs import rle_bomb, write_study
from tests.ct import encoded
from tests.e2e.hostile import dribble, head_of
from tests.stack import LiveStack

CALLERS = 2
READER_BYTES = 1200 << 20
HIT_EVERY_S, BAD_EVERY_S, FUZZ_EVERY_S = 15.0, 1.0, 0.2  # bombs and kills in turn
READER = "ServeReplica:serinus:StudyReader"
SOCKETS = 200
BOMBS = "bomb"
OBJECT_STORE = "Ray's object store"
ENDED = ("completed", "failed", "canceled")


@dataclass(slots=True)
class Heard:
    """What the callers of live studies got: seconds of each result, and in words whatever else came."""

    seconds: list[float] = field(default_factory=list)
    jobs: list[tuple[float, float, str]] = field(
        default_factory=list
    )  # when asked for (`time.time()`), seconds, job
    failed: list[str] = field(default_factory=list)
    refused: int = 0  # with 429 or 503 and a Retry-After, and then asked for again


class LiveCallers:
    """A closed loop over the PACS's studies. A refusal is repeated as it says; its study's time goes on meanwhile."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.heard = Heard()

    def __enter__(self) -> LiveCallers:
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CALLERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, first: int) -> None:
        with self._site.stack.http(timeout_s=WAIT_S + 30) as http:
            for number in itertools.count(first, CALLERS):
                if self._stop.is_set():
                    return
                self._read(http, self._site.studies[number % len(self._site.studies)])

    def _read(self, http: httpx.Client, study: str) -> None:
        began = time.monotonic()
        body = {"study_uid": study, "source": SOURCE, "model": MODEL, "outputs": [], "force": True}
        while True:
            try:
                answer = http.post("/v1/jobs", json=body, headers={"Prefer": f"wait={WAIT_S}"})
            except httpx.HTTPError as error:
                self.heard.failed.append(type(error).__name__)
                return
            if answer.status_code not in (429, 503):
                break
            self.heard.refused += 1
            time.sleep(float(answer.headers.get("Retry-After", 1)))
        if answer.status_code == 200:
            took = time.monotonic() - began
            self.heard.seconds.append(took)
            self.heard.jobs.append((time.time() - took, took, answer.headers.get("X-Serinus-Job", "")))
        else:
            self.heard.failed.append(f"{answer.status_code} {answer.text[:200]}")


class Storm:
    """Everything hostile at once, each kind in a thread of its own, until the context ends."""

    def __init__(self, stack: LiveStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._stop = threading.Event()
        self._random = random.Random(8)
        self._jobs: dict[str, str] = {}  # to the kind of what was sent
        self._bad_numbers = itertools.count()
        self.counts: Counter[str] = Counter()
        self.hits: list[tuple[float, str]] = []  # when, of `time.time()`, and what
        self.bomb = write_study(rle_bomb("storm"), folder / BOMBS)
        self.bad = [study_of(case.files(), folder / f"bad-{number}") for number, case in enumerate(CASES)]
        self.good = [encoded(dataset) for dataset in make_ct_study("fuzzed", slices=4, size=64)]
        self._threads = [
            threading.Thread(target=target)
            for target in (
                lambda: self._every(HIT_EVERY_S, self._hit),
                lambda: self._every(BAD_EVERY_S, self._send_a_bad_study),
                lambda: self._every(FUZZ_EVERY_S, self._push_damage),
                self._hold_sockets,
            )
        ]

    def __enter__(self) -> Storm:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def endings(self, within_s: float = 180.0) -> Counter[tuple[str, str]]:
        """By kind, how the hostile studies ended; an open one stands as its state."""
        deadline = time.monotonic() + within_s
        open_jobs, ended = dict(self._jobs), Counter[tuple[str, str]]()
        with self._stack.http() as http:
            while open_jobs and time.monotonic() < deadline:
                for job_id, kind in tuple(open_jobs.items()):
                    job = http.get(f"/v1/jobs/{job_id}").json()
                    if job["state"] in ENDED:
                        del open_jobs[job_id]
                        ended[kind, job["error"]["code"] if job["error"] else job["state"]] += 1
                time.sleep(0.5)
        return ended + Counter((kind, "still open") for kind in open_jobs.values())

    def _every(self, seconds: float, send: Callable[[httpx.Client], None]) -> None:
        with self._stack.http(timeout_s=30) as http:
            while not self._stop.wait(seconds):
                try:
                    send(http)
                except httpx.HTTPError as error:
                    self.counts[f"hostile call: {type(error).__name__}"] += 1

    def _hit(self, http: httpx.Client) -> None:
        kind = ("bomb", "kill")[len(self.hits) % 2]
        self.hits.append((time.time(), kind))
        if kind == "bomb":
            self._submit(http, "bomb", self.bomb, BOMBS)
        else:
            self.counts["StudyReader killed"] += self._stack.kill(READER)

    def _send_a_bad_study(self, http: httpx.Client) -> None:
        number = next(self._bad_numbers) % len(self.bad)
        study = self.bad[number]
        if study is not None:
            self._submit(http, "bad study", study, f"bad-{number}", CASES[number].model)

    def _submit(self, http: httpx.Client, kind: str, study: str, source: str, model: str = MODEL) -> None:
        body = {"study_uid": study, "source": source, "model": model, "force": True}
        answer = http.post("/v1/jobs", json=body)
        self.counts[f"{kind}: {answer.status_code}"] += 1
        if answer.status_code == 202:
            self._jobs[answer.json()["id"]] = kind

    def _push_damage(self, http: httpx.Client) -> None:
        part = bytearray(self._random.choice(self.good))
        for _ in range(self._random.randint(1, 8)):
            part[self._random.randrange(132, len(part))] = self._random.randrange(256)
        kind = 'multipart/related; type="application/dicom"; boundary=b'
        content = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + bytes(part) + b"\r\n--b--\r\n"
        answer = http.post("/dicom-web/studies", content=content, headers={"Content-Type": kind})
        self.counts[f"fuzzed image: {answer.status_code}"] += 1

    def _hold_sockets(self) -> None:
        head = head_of("POST", "/v1/jobs", "Content-Length: 1000")

        async def hold() -> None:
            while not self._stop.is_set():
                port = self._stack.settings.api_port
                held = await asyncio.gather(
                    *(dribble(port, head) for _ in range(SOCKETS)), return_exceptions=True
                )
                self.counts.update(f"slow socket: {getattr(heard, 'status', 'not opened')}" for heard in held)
                await asyncio.sleep(1.0)

        asyncio.run(hold())


def study_of(files: Sequence[bytes], folder: Path) -> str | None:
    """Write the objects of a bad study; its UID, None where no object names one."""
    import pydicom

    folder.mkdir(parents=True)
    found = None
    for number, content in enumerate(files):
        path = folder / f"{number:03}.dcm"
        path.write_bytes(content)
        try:
            found = found or str(pydicom.dcmread(path, stop_before_pixels=True, force=True).StudyInstanceUID)
        except Exception:  # noqa: BLE001 - it is damaged on purpose
            continue
    return found


@dataclass(slots=True)
class Held:
    """What the processes of one kind hold together."""

    processes: int = 0
    mib: int = 0


def memory(stack: LiveStack) -> Mapping[str, Held]:
    """What each kind of process holds: its own, and its part of what it shares (proc(5), smaps_rollup).

    What lies in Ray's object store is a row of its own: its pages stay with whoever has looked at them.
    """
    held: defaultdict[str, Held] = defaultdict(Held)
    for pid in owned_processes(stack.stack_id):
        try:
            name = title(" ".join(psutil.Process(pid).cmdline()))
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (psutil.Error, OSError):
            continue
        stored = field_bytes(text, "Pss_Shmem")
        held[name].processes += 1
        held[name].mib += (field_bytes(text, "Pss") - stored) >> 20
        held[OBJECT_STORE].mib += stored >> 20
    return held


def listen(site: Site, seconds: float) -> Heard:
    with LiveCallers(site) as callers:
        time.sleep(seconds)
    return callers.heard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="of storm")
    parser.add_argument("--quiet-s", type=float, default=60.0, help="of quiet before and after")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="serinus-hostile-") as name:
        sources = [
            {"id": part, "kind": "folder", "root": str(Path(name) / part)}
            for part in (BOMBS, *(f"bad-{number}" for number in range(len(CASES))))
        ]
        with live_site(StudyShape(), *sources, reader_memory_bytes=READER_BYTES) as site:
            storm = Storm(site.stack, Path(name))
            say("a minute to warm up")
            listen(site, min(20.0, arguments.quiet_s))
            begins = memory(site.stack)
            say("quiet")
            before = listen(site, arguments.quiet_s)
            say("storm")
            with storm:
                during = listen(site, arguments.minutes * 60)
            say("how the hostile studies end")
            endings = storm.endings()
            say("quiet again")
            after = listen(site, arguments.quiet_s)
            ends = memory(site.stack)
            report(before, during, after, storm, endings, (begins, ends))
            print_slowest(during, storm.hits, site.stack)


def report(
    before: Heard,
    during: Heard,
    after: Heard,
    storm: Storm,
    endings: Mapping[tuple[str, str], int],
    held: tuple[Mapping[str, Held], Mapping[str, Held]],
) -> None:
    rows: list[Sequence[Any]] = [
        (name, len(heard.seconds), len(heard.failed), heard.refused, *latencies(heard))
        for name, heard in (("quiet", before), ("storm", during), ("quiet again", after))
    ]
    print_table(("live studies", "read", "failed", "refused", "p50 s", "p99 s", "longest s"), rows)
    for failure, count in Counter(during.failed + after.failed).items():
        print(f"  {count} x {failure}")
    print_table(("hostile", "number"), sorted(storm.counts.items()))
    print_table(("kind", "ended as", "number"), [(*how, count) for how, count in sorted(endings.items())])
    print_held(*held)


def print_held(begins: Mapping[str, Held], ends: Mapping[str, Held]) -> None:
    grown: list[Sequence[Any]] = []
    for name in sorted(begins.keys() | ends.keys()):
        before, after = begins.get(name, Held()), ends.get(name, Held())
        grown.append((name, before.processes, after.processes, before.mib, after.mib))
    sums = (sum(held.mib for held in kinds.values()) for kinds in (begins, ends))
    head = ("memory (PSS)", "processes before", "after", "MiB before", "after")
    print_table(head, [*grown, ("all", "", "", *sums)])


def print_slowest(
    heard: Heard, hits: Sequence[tuple[float, str]], stack: LiveStack, number: int = 12
) -> None:
    """What the slowest studies waited for: their stages, and how long after a bomb or kill they began."""
    ledger = Ledger.open(stack.settings.ledger)
    rows: list[Sequence[Any]] = []
    for asked_s, took_s, job_id in sorted(heard.jobs, key=lambda job: -job[1])[:number]:
        job = ledger.jobs.get(job_id)
        before = [f"{asked_s - at:+.1f} s after {kind}" for at, kind in hits if at <= asked_s + took_s]
        stages = " ".join(
            f"{name} {seconds:.2f}" for name, seconds in job.stages_s.items() if seconds >= 0.05
        )
        rows.append((f"{took_s:.2f}", before[-1] if before else "", job.losses, stages))
    ledger.close()
    print_table(("slowest, s", "asked for", "losses", "stages, s"), rows)


def latencies(heard: Heard) -> tuple[float, float, float]:
    if not heard.seconds:
        return (float("nan"),) * 3
    return quantile(heard.seconds, 0.5), quantile(heard.seconds, 0.99), max(heard.seconds)


if __name__ == "__main__":
    main()
