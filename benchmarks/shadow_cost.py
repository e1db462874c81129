"""What does silent reading cost the champion? All studies read by a shadow too, against none.

    python -m benchmarks.shadow_cost [--seconds 60] [--repeats 3] [--slices 24] [--size 256]

First the capacity is measured (a closed loop, no shadow). Then studies come at a third of it, at even distances and
however long the others take, in turns with the shadow at 100 % and at 0 %. A latency counts from when the study was
due. The shadow is warm in every turn, and what one turn left unread is read before the next begins.

`late` were not read yet when the turn's last caller had its answer; `drained s` is what they took from then on.
Goal: both ratios at most 1.05, and nothing owed at the end. Callers are threads on the same cores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.live import (
    MODEL,
    Block,
    SerinusCaller,
    Site,
    StudyShape,
    closed_loop,
    live_site,
    merged,
    open_loop,
    print_table,
    quantile,
    say,
)
from ledger import Ledger, ShadowResult
from tests.stack import eventually

SHARE_OF_CAPACITY = 1 / 3
SETTLE_S = 2.0
DRAIN_WITHIN_S = 900.0
MANY = 1_000_000


def main() -> None:
    options = _options()
    with live_site(StudyShape(options.studies, options.slices, options.size)) as site:
        shadow = site.register(2)
        site.point("challenger", shadow)
        site.wait_warm(shadow)
        per_s = _capacity(site, options) * SHARE_OF_CAPACITY
        say(f"arrivals: {per_s:.2f} studies/s")
        ledger = Ledger.open(site.stack.settings.ledger)
        try:
            turns = _turns(site, ledger, per_s, options)
            owed = sum(ledger.shadows.backlog(MODEL).values())
        finally:
            ledger.close()
    _print(turns, per_s, owed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each turn")
    parser.add_argument("--repeats", type=int, default=3, help="turns with the shadow, and as many without")
    parser.add_argument("--capacity-seconds", type=float, default=20.0)
    parser.add_argument("--capacity-callers", type=int, default=8)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--slices", type=int, default=24)
    parser.add_argument("--size", type=int, default=256)
    return parser.parse_args()


@dataclass(frozen=True, slots=True)
class Turn:
    """One block with the shadow at `percent`, and what became of its silent readings."""

    percent: int
    block: Block
    silent: tuple[ShadowResult, ...]
    late: int
    drained_s: float

    @property
    def failed(self) -> int:
        return sum(reading.error_code is not None for reading in self.silent)


def _capacity(site: Site, options: argparse.Namespace) -> float:
    """Studies per second with several callers and no shadow."""
    site.put("shadow", {"alias": "challenger", "percent": 0})
    read = SerinusCaller(site.stack)
    closed_loop(read, site.studies, callers=options.capacity_callers, seconds=SETTLE_S)
    block = closed_loop(
        read, site.studies, callers=options.capacity_callers, seconds=options.capacity_seconds
    )
    return len(block.latencies_ms) / block.elapsed_s


def _turns(site: Site, ledger: Ledger, per_s: float, options: argparse.Namespace) -> list[Turn]:
    turns = []
    for repeat in range(options.repeats):
        for percent in (100, 0) if repeat % 2 == 0 else (0, 100):
            say(f"turn {repeat + 1}, shadow {percent} %")
            turns.append(_turn(site, ledger, percent, per_s, options.seconds))
    return turns


def _turn(site: Site, ledger: Ledger, percent: int, per_s: float, seconds: float) -> Turn:
    site.put("shadow", {"alias": "challenger", "percent": percent})
    time.sleep(SETTLE_S)
    known = len(ledger.shadows.outcomes(MODEL, MANY))
    block = open_loop(SerinusCaller(site.stack), site.studies, per_s=per_s, seconds=seconds)
    late, drained_s = _drain(ledger)
    outcomes = ledger.shadows.outcomes(MODEL, MANY)
    return Turn(percent, block, outcomes[: len(outcomes) - known], late, drained_s)


def _drain(ledger: Ledger) -> tuple[int, float]:
    """Wait until nothing is owed; returns how much was, and how long that took in seconds."""
    started = time.monotonic()
    late = sum(ledger.shadows.backlog(MODEL).values())
    eventually(lambda: not ledger.shadows.backlog(MODEL) or None, DRAIN_WITHIN_S, "the silent readings")
    return late, time.monotonic() - started


# ---- what comes out


def _print(turns: Sequence[Turn], per_s: float, owed: int) -> None:
    print(f"one third of capacity: {per_s:.2f} studies/s\n")
    head = ("shadow", "studies", "refused", "p50 ms", "p99 ms", "silent", "failed", "late", "drained s")
    print_table(head, [_row(f"{turn.percent} %", [turn]) for turn in turns])
    print()
    by_percent = {percent: [t for t in turns if t.percent == percent] for percent in (100, 0)}
    print_table(head, [_row(f"{percent} %, all", found) for percent, found in by_percent.items()])
    print()
    print_table(("100 % against none", "p50", "p99"), _ratios(turns))
    print(f"\nstill owed at the end: {owed}")


def _row(name: str, turns: Sequence[Turn]) -> tuple[object, ...]:
    block = merged([turn.block for turn in turns])
    return (
        name,
        len(block.latencies_ms),
        block.refused,
        *_quantiles(turns),
        sum(len(turn.silent) for turn in turns),
        sum(turn.failed for turn in turns),
        sum(turn.late for turn in turns),
        max(turn.drained_s for turn in turns),
    )


def _quantiles(turns: Sequence[Turn]) -> tuple[float, float]:
    latencies = merged([turn.block for turn in turns]).latencies_ms
    return quantile(latencies, 0.5), quantile(latencies, 0.99)


def _ratios(turns: Sequence[Turn]) -> list[tuple[object, ...]]:
    """Pair by pair, which shows how far the machine itself wavers, and over all turns."""
    pairs = [turns[index : index + 2] for index in range(0, len(turns), 2)]
    rows = [(f"pair {number}", *_ratio(pair)) for number, pair in enumerate(pairs, start=1)]
    return [*rows, ("all", *_ratio(turns))]


def _ratio(turns: Sequence[Turn]) -> tuple[float, float]:
    with_shadow = _quantiles([turn for turn in turns if turn.percent == 100])
    without = _quantiles([turn for turn in turns if turn.percent == 0])
    return with_shadow[0] / without[0], with_shadow[1] / without[1]


if __name__ == "__main__":
    main()
