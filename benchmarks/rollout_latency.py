"""How fast does traffic follow a decision? An alias that moves in MLflow, and a weight that is set to 0.

    python -m benchmarks.rollout_latency [--repeats 20] [--cold 3] [--callers 4] [--slices 24] [--size 256]

All under steady load. Times in milliseconds, on one clock, from just before the request that changes something.

champion moved   between two warm versions, to the end of the first answer by the other one, as its caller has it.
                 It holds what MLflow takes to store the alias and what the first study takes; both are shown.
challenger cold  set to a version that was never here, whose weight of 100 % waits for it: to the end of its first
                 answer. `load` is the version's own: from when Serve starts its replica to when that has
                 imported, verified, loaded and answered the golden input, by Serve's logs; `Serve notices it` when
                 Serve counts it as started, before which it sends it nothing. `before` is the alias being seen
                 and the files fetched and admitted, `after that` the way into the routers' tables and the first
                 study. Fetching and admitting the files is timed once more alone, at the end and without load,
                 since it belongs to the version as well. Goal: what is beside load (as Serve counts it) and files
                 is at most 1 s.
weight to 0      of a canary at 50 %: to the last canary answer begun. Begun means assigned, by the time that the
                 decision ledger holds. 0 means that none was begun after the request. Goal: 250 ms.
freeze           the same, by `PUT /v1/freeze`; once more while the rollout controller is stopped (SIGSTOP to its
                 process), as if it hung. Goal: 250 ms.

Callers are threads on the same cores.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.live import (
    MODEL,
    Callers,
    Reading,
    SerinusCaller,
    Site,
    StudyShape,
    live_site,
    print_table,
    quantile,
    say,
)
from ledger import Ledger
from registry.cache import NodeCache
from registry.signing import load_verify_key
from serve_apps.application.messages import app_name
from serve_apps.embedded.ray_head import ray_directory

CHAMPION, CHALLENGER = "champion", "challenger"
WITHIN_S = 180.0
CHECK_INTERVAL_S = 0.002
PAUSE_S = (1.0, 2.0)  # at random, so that no change keeps step with the registry's polling
AFTERMATH_S = 2.0
HALF_BP, ALL_BP = 5_000, 10_000
CANARY_ANSWERS = 3
Figures = dict[str, list[float]]


def main() -> None:
    options = _options()
    with live_site(StudyShape(options.studies, options.slices, options.size)) as site:
        versions = [site.register(2 + number % 3) for number in range(max(1, options.cold))]
        with Callers(SerinusCaller(site.stack), site.studies, options.callers) as running:
            _wait_for(running, "1", time.time())
            cold = _cold_challengers(site, running, versions[: options.cold])
            warm = _champion_moves(site, running, ("1", versions[0]), options.repeats)
            stops = _canary_stops(site, running, versions[0], options.repeats)
        _add_files(cold, [fetch_ms(site, version) for version in versions[: options.cold]])
    print_table(("ms", "n", "min", "p50", "p90", "max"), _rows([warm, cold, *stops]))
    print(f"\nstudies read meanwhile: {len(running.readings)}, refused: {running.block().refused}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20, help="moves of the champion, and weights set to 0")
    parser.add_argument("--cold", type=int, default=3, help="cold versions")
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--slices", type=int, default=24)
    parser.add_argument("--size", type=int, default=256)
    return parser.parse_args()


# ---- the champion, between warm versions


def _champion_moves(site: Site, running: Callers, pair: tuple[str, str], repeats: int) -> Figures:
    """The first move there and back is not counted: after it both versions are warm."""
    figures: Figures = {
        "champion moved → first answer": [],
        "· MLflow stored the alias": [],
        "· the first study's own time": [],
    }
    for turn in range(-2, repeats):
        _pause()
        moved = _move(site, running, CHAMPION, pair[(turn + 1) % 2])
        if turn >= 0:
            _add(figures, moved.first_answer_ms, moved.stored_ms, moved.first.latency_ms)
    return figures


@dataclass(frozen=True, slots=True)
class Move:
    """An alias that was moved at `at_s` (of `time.time()`), and the first answer that came of it."""

    at_s: float
    stored_ms: float
    first: Reading

    @property
    def first_answer_ms(self) -> float:
        return (self.first.ended_s - self.at_s) * 1e3


def _move(site: Site, running: Callers, alias: str, version: str) -> Move:
    say(f"{alias} → version {version}")
    at_s = time.time()
    site.point(alias, version)
    stored_ms = (time.time() - at_s) * 1e3
    return Move(at_s, stored_ms, _wait_for(running, version, at_s))


# ---- a cold challenger


def _cold_challengers(site: Site, running: Callers, versions: Sequence[str]) -> Figures:
    figures: Figures = {
        "challenger cold → first answer": [],
        "· before its load": [],
        "· its load": [],
        "· Serve notices it": [],
        "· after that": [],
        "· beside its load": [],
    }
    for version in versions:
        site.put("weight", {"version": version, "weight_bp": ALL_BP, "in_advance": True})
        _pause()
        moved = _move(site, running, CHALLENGER, version)
        began_s, loaded_s, noticed_s = load_times(site, version)
        before, load, notice = (
            1e3 * seconds for seconds in (began_s - moved.at_s, loaded_s - began_s, noticed_s - loaded_s)
        )
        total = moved.first_answer_ms
        beside = total - load - notice
        _add(figures, total, before, load, notice, beside - before, beside)
        site.put("weight", {"version": version, "weight_bp": 0})
        site.registry.delete_alias(MODEL, CHALLENGER)
    return figures


def _add_files(figures: Figures, files_ms: Sequence[float]) -> None:
    beside = [each - files for each, files in zip(figures["· beside its load"], files_ms, strict=True)]
    figures |= {"· its files, fetched and admitted alone": [*files_ms], "· beside its load and files": beside}


def fetch_ms(site: Site, version: str) -> float:
    """How long the version's files take from MLflow to a verified artifact, into a folder that has none."""
    paths = site.stack.settings.paths
    with tempfile.TemporaryDirectory() as folder:
        cache = NodeCache(Path(folder), site.registry, load_verify_key(paths.verify_key))
        started = time.perf_counter()
        cache.fetch(MODEL, version)
        return (time.perf_counter() - started) * 1e3


def load_times(site: Site, version: str) -> tuple[float, float, float]:
    """When Serve started the version's first replica, when that had loaded, and when Serve counted it as started."""
    folder = ray_directory(site.stack.settings) / "session_latest" / "logs" / "serve"
    app = app_name(MODEL, version)
    began = min(_logged_json(folder, "controller_*.log", "Starting Replica(", f"app='{app}'"))
    loaded = min(_logged_text(folder, f"replica_{app}_*.log", "Finished initializing replica."))
    noticed = min(_logged_json(folder, "controller_*.log", "started successfully", f"app='{app}'"))
    return began, loaded, noticed


def _logged_json(folder: Path, files: str, *words: str) -> list[float]:
    lines = [line for file in folder.glob(files) for line in file.read_text().splitlines()]
    return [json.loads(line)["timestamp_ns"] / 1e9 for line in lines if all(word in line for word in words)]


def _logged_text(folder: Path, files: str, words: str) -> list[float]:
    """Of lines like `INFO 2026-11-24 14:36:55,449 …`, in local time."""
    lines = [line for file in folder.glob(files) for line in file.read_text().splitlines()]
    stamps = [" ".join(line.split()[1:3]) for line in lines if words in line]
    return [datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S,%f").timestamp() for stamp in stamps]


# ---- the ways to stop a canary


def _canary_stops(site: Site, running: Callers, canary: str, repeats: int) -> list[Figures]:
    """The weight to 0, a freeze, and a freeze while the controller does not run."""
    _move(site, running, CHAMPION, "1")
    site.point(CHALLENGER, canary)
    site.wait_warm(canary)
    ledger = Ledger.open(site.stack.settings.ledger)
    ways: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "weight 0": lambda: _weight_zero(site, canary),
        "freeze": lambda: _frozen(site),
        "freeze, controller stopped": lambda: _frozen_without_controller(site),
    }
    try:
        return [_stops(site, running, ledger, canary, way, ways[way], repeats) for way in ways]
    finally:
        ledger.close()


def _stops(
    site: Site,
    running: Callers,
    ledger: Ledger,
    canary: str,
    way: str,
    stop: Callable[[], AbstractContextManager[None]],
    repeats: int,
) -> Figures:
    figures: Figures = {
        f"{way} → last canary answer begun": [],
        "· the request was answered": [],
        "· canary answers begun after the request (number)": [],
        "· begun even after its answer (number)": [],
    }
    for turn in range(repeats):
        say(f"{way}, turn {turn + 1}")
        _start_canary(site, running, canary)
        at_s = time.time()
        with stop():
            answered_s = time.time()
            time.sleep(AFTERMATH_S)
        ended = [r for r in tuple(running.readings) if r.ended_s > at_s and version_of(r) == canary]
        begun = [assigned_s(ledger, r.job, canary) for r in ended]
        late = [seconds for seconds in begun if at_s < seconds <= answered_s + AFTERMATH_S]
        last_ms = (max(late, default=at_s) - at_s) * 1e3
        too_late = [seconds for seconds in late if seconds > answered_s]
        _add(figures, last_ms, (answered_s - at_s) * 1e3, float(len(late)), float(len(too_late)))
    return figures


def _start_canary(site: Site, running: Callers, canary: str) -> None:
    site.put("weight", {"version": canary, "weight_bp": HALF_BP})
    since = time.time()
    for _ in range(CANARY_ANSWERS):
        since = _wait_for(running, canary, since).ended_s
    _pause()


@contextmanager
def _weight_zero(site: Site, canary: str) -> Iterator[None]:
    site.put("weight", {"version": canary, "weight_bp": 0})
    yield


@contextmanager
def _frozen(site: Site) -> Iterator[None]:
    with site.stack.http() as http:
        http.put("/v1/freeze", json={"reason": "benchmark"}).raise_for_status()
        yield
        http.delete("/v1/freeze").raise_for_status()


@contextmanager
def _frozen_without_controller(site: Site) -> Iterator[None]:
    controllers = site.stack.processes("ray::ServeReplica:serinus:RolloutController")
    for pid in controllers:
        os.kill(pid, signal.SIGSTOP)
    try:
        with _frozen(site):
            yield
            for pid in controllers:
                os.kill(pid, signal.SIGCONT)
    finally:
        for pid in controllers:
            os.kill(pid, signal.SIGCONT)


def assigned_s(ledger: Ledger, job_id: str, version: str) -> float:
    """When the job's study was given to the version, of `time.time()`."""
    (decision,) = (
        made
        for made in ledger.decisions.of_job(job_id)
        if made.row.role == "answered" and made.row.version == version
    )
    assigned_at = decision.row.assigned_at
    assert assigned_at is not None
    return assigned_at.timestamp()


# ---- shared


def _wait_for(running: Callers, version: str, since_s: float) -> Reading:
    """The first answer by the version that ended after `since_s`."""
    deadline = time.monotonic() + WITHIN_S
    seen = 0
    while time.monotonic() < deadline:
        readings = running.readings[seen:]
        found = [r for r in readings if r.ended_s > since_s and version_of(r) == version]
        if found:
            return min(found, key=lambda reading: reading.ended_s)
        seen += len(readings)
        time.sleep(CHECK_INTERVAL_S)
    raise AssertionError(f"waited {WITHIN_S:.0f} s for an answer by version {version}")


def version_of(reading: Reading) -> str | None:
    return None if reading.result is None else str(reading.result["model"]["version"])


def _pause() -> None:
    time.sleep(random.uniform(*PAUSE_S))


def _add(figures: Figures, *values: float) -> None:
    for found, value in zip(figures.values(), values, strict=True):
        found.append(value)


def _rows(parts: Sequence[Figures]) -> list[tuple[object, ...]]:
    return [
        (name, len(found), min(found), quantile(found, 0.5), quantile(found, 0.9), max(found))
        for part in parts
        for name, found in part.items()
        if found
    ]


if __name__ == "__main__":
    main()
