"""How soon is a worse candidate found, and how often is a good one aborted? Serinus beside the rules of others.

    python -m benchmarks.evidence [--runs N] [--seed N]

Simulated, 400 studies a day, at a canary of 5 % or as a shadow of all, with a look after each study or window. Goals:

- false aborts within alpha
- 1 % -> 3 % found in a median of 250 canary studies, or of 1.3 days of shadow
- non-inferiority at a margin of 0.05 shown in a median of 9 days
- a candidate that is worse by exactly the margin is promoted in 2.5 % of the runs at most
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.evidence import peers, serinus, worlds
from benchmarks.evidence.peers import Windows, windows_of
from benchmarks.evidence.worlds import STUDIES_PER_DAY, CanaryWorld, Floats, ShadowWorld

CHAMPION_RATE = 0.01
WORSE_RATES = (0.02, 0.03, 0.05, 0.10)
CANARY_BP = 500
CANARY_DAYS, SHADOW_DAYS = 180, 60
SOON_DAYS = 20
RAMP_BP = (500, 1_000, 2_500, 5_000)
KAYENTA_RUNS, KAYENTA_DAYS = 100, 60
POSITIVES_PER_DAY = 40
POSITIVES = 6_000
ALPHA_SHOWN = 0.025
MOST_CANARY_STUDIES, MOST_SHADOW_DAYS, MOST_DAYS_TO_SHOW = 250, 1.3, 9.0
NEVER = "–"

Rule = Callable[[CanaryWorld], Floats]


def _daily(rule: Callable[[Windows], Floats]) -> Rule:
    return lambda world: rule(windows_of(world, 1))


def _hourly(rule: Callable[[Windows], Floats]) -> Rule:
    return lambda world: rule(windows_of(world, 24))


CANARY_RULES: Mapping[str, Rule] = {
    "**Serinus**, canary, alpha 0.05": lambda world: serinus.canary_stops(world, 0.05),
    "**Serinus**, canary, alpha 0.01 (default)": lambda world: serinus.canary_stops(world, 0.01),
    "Argo Rollouts, a measurement an hour": _hourly(peers.argo_rollouts),
    "Argo Rollouts, a measurement a day": _daily(peers.argo_rollouts),
    "Flagger, a check a minute": peers.flagger_each_minute,
    "Flagger, a check a day": _daily(peers.flagger),
    "z-test each day, p < 0.05": _daily(peers.daily_z_test),
    "O'Brien–Fleming, 40 daily looks, alpha 0.05": _daily(peers.obrien_fleming),
}
KAYENTA_RULES: Mapping[str, Rule] = {
    "Kayenta, hourly points, judged each day": _hourly(partial(peers.kayenta, first=72, every=24)),
    "Kayenta, daily points, judged each day": _daily(partial(peers.kayenta, first=14, every=1)),
}
SHADOWS = {"failures of their own": 0.0, "3 of 4 champion failures shared": 0.75}


@dataclass(frozen=True, slots=True)
class Stops:
    """When the runs of one rule stopped, in studies that the candidate read and in days; inf: not at all."""

    studies: Floats
    days: Floats

    @classmethod
    def joined(cls, parts: Iterable[Stops]) -> Stops:
        parts = tuple(parts)
        return cls(np.concatenate([p.studies for p in parts]), np.concatenate([p.days for p in parts]))

    @property
    def share(self) -> float:
        return float(np.isfinite(self.days).mean())

    def share_within(self, days: int) -> float:
        return float((self.days <= days).mean())

    def at(self, percent: int) -> tuple[float, float]:
        return _quantile(self.studies, percent), _quantile(self.days, percent)

    def cell(self) -> str:
        (middle, days), (late, late_days) = self.at(50), self.at(90)
        if not np.isfinite(middle):
            return NEVER
        return f"{_count(middle)} / {_count(late)}; {_days(days)} / {_days(late_days)} d"


def _quantile(values: Floats, percent: int) -> float:
    return float(np.quantile(values, percent / 100, method="higher"))


def _count(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else NEVER


def _days(value: float) -> str:
    if not np.isfinite(value):
        return NEVER
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def canary_stops(world: CanaryWorld, stop: Floats) -> Stops:
    """A rule's stop as canary studies, of which some may not have come yet, and as days."""
    found = np.isfinite(stop)
    place = np.where(found, stop, 1).astype(int) - 1
    read = world.canary_upto[np.arange(len(stop)), place]
    return Stops(np.where(found, read, np.inf), stop / STUDIES_PER_DAY)


def canary_table(
    rng: np.random.Generator, runs: int, rules: Mapping[str, Rule], days: int
) -> dict[str, dict[float, Stops]]:
    table: dict[str, dict[float, Stops]] = {name: {} for name in rules}
    for rate in (CHAMPION_RATE, *WORSE_RATES):
        parts: dict[str, list[Stops]] = {name: [] for name in rules}
        weights = worlds.constant(CANARY_BP, days)
        for world in worlds.canary_worlds(rng, runs, CHAMPION_RATE, rate, weights):
            for name, rule in rules.items():
                parts[name].append(canary_stops(world, rule(world)))
        for name in rules:
            table[name][rate] = Stops.joined(parts[name])
    return table


def shadow_table(rng: np.random.Generator, runs: int) -> dict[str, dict[float, Stops]]:
    table: dict[str, dict[float, Stops]] = {}
    for told, shared in SHADOWS.items():
        for rate in (CHAMPION_RATE, *WORSE_RATES):
            made = tuple(
                worlds.shadow_worlds(rng, runs, SHADOW_DAYS * STUDIES_PER_DAY, CHAMPION_RATE, rate, shared)
            )
            for alpha in (0.05, 0.01):
                name = f"**Serinus**, shadow, {told}, alpha {alpha}"
                table.setdefault(name, {})[rate] = Stops.joined(_shadow(world, alpha) for world in made)
    return table


def _shadow(world: ShadowWorld, alpha: float) -> Stops:
    stop = serinus.shadow_stops(world, alpha)
    return Stops(stop, stop / STUDIES_PER_DAY)


def ramp_false_aborts(rng: np.random.Generator, runs: int, alpha: float) -> float:
    weights = worlds.ramp(RAMP_BP, CANARY_DAYS // len(RAMP_BP))
    made = worlds.canary_worlds(rng, runs, CHAMPION_RATE, CHAMPION_RATE, weights)
    return float(np.isfinite(np.concatenate([serinus.canary_stops(world, alpha) for world in made])).mean())


@dataclass(frozen=True, slots=True)
class Shown:
    """One row about non-inferiority: an equal candidate, and one that is worse by exactly the margin."""

    discordance: float
    margin: float
    equal: Stops
    wrongly: float


def shown(rng: np.random.Generator, runs: int, discordance: float, margin: float) -> Shown:
    def stops(worse: float, better: float) -> Stops:
        made = worlds.differences(rng, runs, POSITIVES, worse, better)
        stop = np.concatenate([serinus.non_inferiority_stops(d, margin, ALPHA_SHOWN) for d in made])
        return Stops(stop, stop / POSITIVES_PER_DAY)

    half = discordance / 2
    at_margin = stops(half + margin / 2, half - margin / 2) if discordance >= margin else stops(margin, 0.0)
    return Shown(discordance, margin, stops(half, half), at_margin.share)


def print_harm(table: Mapping[str, Mapping[float, Stops]]) -> None:
    print(
        f"| rule | false aborts: {SOON_DAYS} days / all | "
        + " | ".join(f"1 → {100 * r:.0f} %" for r in WORSE_RATES)
        + " |"
    )
    print("|---|---" + "|---" * len(WORSE_RATES) + "|")
    for name, row in table.items():
        cells = " | ".join(row[rate].cell() for rate in WORSE_RATES)
        healthy = row[CHAMPION_RATE]
        aborts = f"{100 * healthy.share_within(SOON_DAYS):.1f} / {100 * healthy.share:.1f} %"
        print(f"| {name} | {aborts} | {cells} |")


def print_shown(rows: Iterable[Shown]) -> None:
    print("| discordant | margin | positive studies; days: median / 90 % of the runs | wrongly promoted |")
    print("|---|---|---|---|")
    for row in rows:
        print(f"| {row.discordance} | {row.margin} | {row.equal.cell()} | {100 * row.wrongly:.1f} % |")


def goals(
    canary: Mapping[str, Mapping[float, Stops]],
    shadow: Mapping[str, Mapping[float, Stops]],
    ramp: float,
    rows: Iterable[Shown],
) -> dict[str, bool]:
    ours = {name: row for name, row in {**canary, **shadow}.items() if "Serinus" in name}
    aborts = {
        name: (row[CHAMPION_RATE].share, 0.05 if "0.05" in name else 0.01) for name, row in ours.items()
    }
    found = next(row for name, row in canary.items() if "Serinus" in name)[0.03].at(50)[0]
    by_shadow = next(iter(shadow.values()))[0.03].at(50)[1]
    row = next(row for row in rows if (row.discordance, row.margin) == (0.10, 0.05))
    return {
        "false aborts are at most alpha": all(share <= alpha for share, alpha in aborts.values())
        and ramp <= 0.05,
        f"1 → 3 % in a median of {found:.0f} canary studies": found <= MOST_CANARY_STUDIES,
        f"1 → 3 % in a median of {by_shadow:.2f} days of shadow": round(by_shadow, 1) <= MOST_SHADOW_DAYS,
        f"non-inferiority in a median of {row.equal.at(50)[1]:.1f} days": row.equal.at(50)[1]
        <= MOST_DAYS_TO_SHOW,
        f"wrongly promoted at the margin: {100 * row.wrongly:.1f} %": row.wrongly <= ALPHA_SHOWN,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=4_000)
    parser.add_argument("--seed", type=int, default=20_261_130)
    args = parser.parse_args()
    rng, begun = np.random.default_rng(args.seed), time.process_time()
    canary = canary_table(rng, args.runs, CANARY_RULES, CANARY_DAYS)
    canary |= canary_table(rng, min(args.runs, KAYENTA_RUNS), KAYENTA_RULES, KAYENTA_DAYS)
    shadow = shadow_table(rng, args.runs)
    ramp = ramp_false_aborts(rng, args.runs, 0.05)
    rows = [shown(rng, args.runs, *case) for case in ((0.04, 0.05), (0.10, 0.05), (0.10, 0.03), (0.20, 0.05))]
    print_harm(canary | shadow)
    print(f"\nThrough a ramp of 5, 10, 25 and 50 %, alpha 0.05: {100 * ramp:.1f} % false aborts\n")
    print_shown(rows)
    reached = goals(canary, shadow, ramp, rows)
    print()
    for goal, is_reached in reached.items():
        print(f"- {goal}: {'reached' if is_reached else 'NOT reached'}")
    print(f"\n{args.runs} runs, seed {args.seed}, {time.process_time() - begun:.0f} s of one core")
    return 0 if all(reached.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
