"""What does the router cost? Serinus against the same model behind one bare Serve deployment, on the same Ray.

    python -m benchmarks.router_cost [--seconds 20] [--repeats 3] [--callers 1 8 32] [--slices 24] [--size 256]

Both sides fetch the same studies from the same Orthanc, decode, prepare, forward and interpret with the same
functions and as many at a time, through the same HTTP proxy, and answer with the same JSON. Blocks take turns.

CPU is that of every process of the stack, also of what it costs while nothing happens, divided by the studies that
were read meanwhile; neither the callers nor Orthanc are in it. The bare replica and Serinus' own share the stack.

bare     one replica does it all in memory; a study whose replica dies is lost to its caller.
serinus  key check, durable job (written, claimed and completed in the ledger), assignment, decision ledger, spans;
         Ingress, JobWorker, StudyReader and ModelServer, between which the volume goes through the object store.
         The fetch and the forward are each in a process of their own, so that they use both cores where the bare
         replica's threads share an interpreter.
sr       the same with a structured report, which is made before and stored in Orthanc before the caller is
         answered. These reports pile up in the studies, where both sides pass over them.

hops     Serve's own part of what lies between the two: as many calls as a study makes in Serinus, with nothing done
         in them, less one call that is answered at once (`benchmarks/empty_hops.py`).

Latencies are of closed loops: with many callers they are mostly waiting, and throughput is what tells. Callers
are threads on the same cores.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from benchmarks import empty_hops
from benchmarks.bare_app import PREFIX, deploy_beside
from benchmarks.live import (
    MODEL,
    SOURCE,
    Block,
    Read,
    SerinusCaller,
    Site,
    StudyShape,
    closed_loop,
    http_client,
    live_site,
    merged,
    print_table,
    quantile,
    result_of,
    say,
    timed,
)
from benchmarks.processes import CpuMeter, summed
from ledger import Ledger
from observability.names import Stage

WARM_UP = 4
FLOOR_CALLS = 200
LEAST_SHOWN_MS = 0.5


def main() -> None:
    options = _options()
    with live_site(StudyShape(options.studies, options.slices, options.size)) as site:
        deploy_beside(site.stack, MODEL, "1")
        contenders = _contenders(site)
        _warm_up(site, contenders)
        floor_ms = _floor_ms(site)
        stages = {name: _stages(site, contenders[name]) for name in ("serinus", "serinus sr")}
        rows: list[tuple[Any, ...]] = []
        cpu: dict[str, Mapping[str, float]] = {}
        for callers in options.callers:
            turns = _turns(site, contenders, callers, options)
            rows += _rows(callers, turns)
            cpu |= {f"{name} x{callers}": turn.cpu_ms_per_study for name, turn in turns.items()}
    print_table(("callers", "side", "studies", "refused", "p50 ms", "p99 ms", "studies/s"), rows)
    print()
    print_table(("callers", "ratio to bare", "p50", "p99", "throughput"), _ratios(rows))
    print()
    print_table(("one study at a time, mean ms", *stages), _beside(*stages.values()))
    print()
    print_table(("CPU ms per study", *cpu), _cpu_rows(cpu))
    print(f"\nServe's empty hops above one hop, p50 of one caller: {floor_ms:.1f} ms")
    print(f"load average {', '.join(f'{load:.1f}' for load in os.getloadavg())}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each block")
    parser.add_argument("--repeats", type=int, default=3, help="blocks of each side")
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--slices", type=int, default=24)
    parser.add_argument("--size", type=int, default=256)
    return parser.parse_args()


class BareCaller:
    """Reads a study by the bare application, which stands behind the same key check of the proxy."""

    def __init__(self, site: Site) -> None:
        self._http = http_client(site.stack.settings.api_url, {"X-API-Key": site.stack.key})

    def __call__(self, study: str) -> tuple[dict[str, Any] | None, str]:
        return result_of(self._http.post(PREFIX, json={"study_uid": study, "source": SOURCE})), ""


def _contenders(site: Site) -> Mapping[str, Read]:
    return {
        "bare": BareCaller(site),
        "serinus": SerinusCaller(site.stack),
        "serinus sr": SerinusCaller(site.stack, ["sr"]),
    }


def _floor_ms(site: Site) -> float:
    """What the calls of a study take of one caller's time though nothing is done in them, in alternating calls."""
    http = http_client(site.stack.settings.api_url, {"X-API-Key": site.stack.key})
    taken: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * FLOOR_CALLS):
        hops = number % 2 == 0
        begun = time.perf_counter()
        http.post(empty_hops.PREFIX, json={"study_uid": "1.2", "hops": hops}).raise_for_status()
        taken[hops].append((time.perf_counter() - begun) * 1e3)
    return quantile(taken[True], 0.5) - quantile(taken[False], 0.5)


def _warm_up(site: Site, contenders: Mapping[str, Read]) -> None:
    """Every side reads a few studies, and each gives the same findings."""
    for study in site.studies[:WARM_UP]:
        answers = [read(study)[0] for read in contenders.values()]
        findings = [answer["findings"] if answer else None for answer in answers]
        if any(found != findings[0] for found in findings):
            raise RuntimeError("the sides do not agree about a study")


@dataclass(frozen=True, slots=True)
class Turns:
    """What the callers of one side saw in all its blocks, and what the stack's processes used meanwhile."""

    block: Block
    cpu_s: Mapping[str, float]

    @property
    def cpu_ms_per_study(self) -> Mapping[str, float]:
        studies = len(self.block.latencies_ms)
        return {name: seconds * 1e3 / studies for name, seconds in self.cpu_s.items()}


def _turns(
    site: Site, contenders: Mapping[str, Read], callers: int, options: argparse.Namespace
) -> Mapping[str, Turns]:
    blocks: dict[str, list[Block]] = {name: [] for name in contenders}
    used: dict[str, list[Mapping[str, float]]] = {name: [] for name in contenders}
    meter = CpuMeter(site.stack.stack_id)
    for turn in range(options.repeats):
        for name, read in contenders.items():
            say(f"{callers} callers, turn {turn + 1}, {name}")
            meter.start()
            blocks[name].append(closed_loop(read, site.studies, callers=callers, seconds=options.seconds))
            used[name].append(meter.stop())
    return {name: Turns(merged(parts), summed(used[name])) for name, parts in blocks.items()}


def _stages(site: Site, read: Read) -> dict[str, float]:
    """Where the time of a study goes in Serinus, by its own clock; and what lies between the stages."""
    found = [timed(read, study, time.time()) for study in site.studies]
    ledger = Ledger.open(site.stack.settings.ledger)
    try:
        stages = [ledger.jobs.get(reading.job).stages_s for reading in found]
    finally:
        ledger.close()
    means = {stage.value: fmean(each.get(stage.value, 0.0) * 1e3 for each in stages) for stage in Stage}
    total = fmean(reading.latency_ms for reading in found)
    return means | {"between the stages": total - sum(means.values()), "in all": total}


def _beside(*columns: Mapping[str, float]) -> list[tuple[Any, ...]]:
    """A row per stage that took any time."""
    return [(name, *(each[name] for each in columns)) for name in columns[0] if any(c[name] for c in columns)]


def _cpu_rows(columns: Mapping[str, Mapping[str, float]]) -> list[tuple[Any, ...]]:
    """A row per kind of process, the dearest first, and their sum; what costs nothing is left out."""
    names = {name for column in columns.values() for name in column}
    rows = [(name, *(round(column.get(name, 0.0), 1) for column in columns.values())) for name in names]
    dearest = sorted((row for row in rows if max(row[1:]) >= LEAST_SHOWN_MS), key=lambda row: -max(row[1:]))
    return [*dearest, ("all", *(round(sum(column.values()), 1) for column in columns.values()))]


def _rows(callers: int, turns: Mapping[str, Turns]) -> list[tuple[Any, ...]]:
    return [(callers, name, *_figures(turn.block)) for name, turn in turns.items()]


def _figures(block: Block) -> tuple[int, int, float, float, float]:
    latencies = block.latencies_ms
    p50, p99 = quantile(latencies, 0.5), quantile(latencies, 0.99)
    return len(latencies), block.refused, p50, p99, len(latencies) / block.elapsed_s


def _ratios(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    bare = {row[0]: row for row in rows if row[1] == "bare"}
    return [
        (row[0], row[1], *(mine / base for mine, base in zip(row[4:], bare[row[0]][4:], strict=True)))
        for row in rows
        if row[1] != "bare"
    ]


if __name__ == "__main__":
    main()
