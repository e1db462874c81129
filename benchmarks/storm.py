"""What do live studies notice of a storm? `python -m benchmarks.storm --minutes 10`

Two callers have studies of a PACS read all the time, first in quiet, then while all of this goes on at once:

    bombs       every half minute a study that decodes to more than a reader may hold
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
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.live import MODEL, SOURCE, WAIT_S, Site, StudyShape, live_site, print_table, quantile, say
from benchmarks.processes import title
from imaging.samples.synthetic import make_ct_study
from serve_apps.embedded.processes import owned_processes
from tests.bad_studies import CASES
from tests.bombs import rle_bomb, write_study
from tests.ct import encoded
from tests.e2e.hostile import dribble, head_of
from tests.stack import LiveStack

CALLERS = 2
READER_BYTES = 1200 << 20
BOMB_EVERY_S, BAD_EVERY_S, FUZZ_EVERY_S = 30.0, 1.0, 0.2
SOCKETS = 200
BOMBS = "bomb"
ENDED = ("completed", "failed", "canceled")


@dataclass(slots=True)
class Heard:
    """What the callers of live studies got: seconds of each result, and in words whatever else came."""

    seconds: list[float] = field(default_factory=list)
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
            self.heard.seconds.append(time.monotonic() - began)
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
        self.bomb = write_study(rle_bomb("storm"), folder / BOMBS)
        self.bad = [study_of(case.files(), folder / f"bad-{number}") for number, case in enumerate(CASES)]
        self.good = [encoded(dataset) for dataset in make_ct_study("fuzzed", slices=4, size=64)]
        self._threads = [
            threading.Thread(target=target)
            for target in (
                lambda: self._every(BOMB_EVERY_S, self._throw_a_bomb),
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

    def _throw_a_bomb(self, http: httpx.Client) -> None:
        self._submit(http, "bomb", self.bomb, BOMBS)

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


def memory_mib(stack: LiveStack) -> Mapping[str, int]:
    """What each kind of process holds, shared memory counted in parts (PSS)."""
    held: Counter[str] = Counter()
    for pid in owned_processes(stack.stack_id):
        try:
            process = psutil.Process(pid)
            held[title(" ".join(process.cmdline()))] += process.memory_full_info().pss >> 20
        except psutil.Error:
            continue
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
            begins = memory_mib(site.stack)
            say("quiet")
            before = listen(site, arguments.quiet_s)
            say("storm")
            with storm:
                during = listen(site, arguments.minutes * 60)
            say("how the hostile studies end")
            endings = storm.endings()
            say("quiet again")
            after = listen(site, arguments.quiet_s)
            ends = memory_mib(site.stack)
            report(before, during, after, storm, endings, (begins, ends))


def report(
    before: Heard,
    during: Heard,
    after: Heard,
    storm: Storm,
    endings: Mapping[tuple[str, str], int],
    memory: tuple[Mapping[str, int], Mapping[str, int]],
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
    begins, ends = memory
    names = sorted(begins.keys() | ends.keys())
    grown = [(name, begins.get(name, 0), ends.get(name, 0)) for name in names]
    print_table(("MiB (PSS)", "before", "after"), [*grown, ("all", sum(begins.values()), sum(ends.values()))])


def latencies(heard: Heard) -> tuple[float, float, float]:
    if not heard.seconds:
        return (float("nan"),) * 3
    return quantile(heard.seconds, 0.5), quantile(heard.seconds, 0.99), max(heard.seconds)


if __name__ == "__main__":
    main()
