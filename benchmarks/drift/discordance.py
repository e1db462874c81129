"""Days until a rise of the discordance between report and model is found, beside a published rule and a CUSUM."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from benchmarks.drift.worlds import Floats, Ints
from core.bernoulli import odds_log_factors
from observability.drift.discordance import ODDS_RATIOS

BASE: Final = 0.031
PER_DAY: Final = 29.0
DAYS, BEGINS = 730, 120
ARL_DAYS: Final = 3_650.0
RISES: Final = (1.5, 2.0, 3.0)


def serinus(studies: Ints, discordant: Ints) -> Floats:
    """`DiscordanceWatch` over arrays (streams, days); a unit test shows that the product alarms on the same day."""
    hit = np.array(odds_log_factors(BASE, ODDS_RATIOS, hit=True))
    miss = np.array(odds_log_factors(BASE, ODDS_RATIOS, hit=False))
    log_m = np.full((len(studies), len(ODDS_RATIOS)), -math.inf)
    alarms = np.zeros(studies.shape, dtype=bool)
    for day in range(studies.shape[1]):
        step = discordant[:, day, None] * hit + (studies - discordant)[:, day, None] * miss
        log_m = step + np.logaddexp(0.0, log_m)
        mean = np.logaddexp.reduce(log_m, axis=1) - math.log(len(ODDS_RATIOS))
        alarms[:, day] = mean >= math.log(ARL_DAYS)
    return _first(alarms)


def seven_days_outside(studies: Ints, discordant: Ints, look_back: int = 60) -> Floats:
    """The rate of 60 days lies outside a fixed 95 % interval on seven days in a row (Sorin et al., JACR 2025; as
    read from its abstract)."""
    n, x = studies.cumsum(1), discordant.cumsum(1)
    rate = (x[:, look_back:] - x[:, :-look_back]) / np.maximum(n[:, look_back:] - n[:, :-look_back], 1)
    half = 1.96 * math.sqrt(BASE * (1 - BASE) / (PER_DAY * look_back))
    outside = np.abs(rate - BASE) > half
    in_a_row = np.lib.stride_tricks.sliding_window_view(outside, 7, axis=1).all(2)
    return _first(in_a_row) + look_back + 6


def cusum(studies: Ints, discordant: Ints, limit: float = 5.0) -> Floats:
    """For a doubled rate, decision interval 5."""
    worse = 2 * BASE
    hit, miss = math.log(worse / BASE), math.log((1 - worse) / (1 - BASE))
    total, alarms = np.zeros(len(studies)), np.zeros(studies.shape, dtype=bool)
    for day in range(studies.shape[1]):
        step = discordant[:, day] * hit + (studies - discordant)[:, day] * miss
        total = np.maximum(0.0, total + step)
        alarms[:, day] = total > limit
    return _first(alarms)


RULES: Mapping[str, Callable[[Ints, Ints], Floats]] = {
    "**Serinus**, one alarm in ten years": serinus,
    "60-day rate outside 95 % for 7 days": seven_days_outside,
    "CUSUM, h = 5": cusum,
}


def table(rng: np.random.Generator, streams: int) -> str:
    quiet = _days(rng, streams, 1.0)
    moved = {rise: _days(rng, streams, rise) for rise in RISES}
    lines = ["| rule | within a year | × 1.5 | × 2 | × 3 |", "|---|---|---|---|---|"]
    for name, rule in RULES.items():
        false = float((rule(*quiet) < 365).mean())
        cells = [_cell(rule(*days)) for days in moved.values()]
        lines.append(f"| {name} | {100 * false:.1f} % | {' | '.join(cells)} |")
    return "\n".join(lines)


def _days(rng: np.random.Generator, streams: int, rise: float) -> tuple[Ints, Ints]:
    studies = rng.poisson(PER_DAY, (streams, DAYS))
    rate = np.where(np.arange(DAYS) < BEGINS, BASE, BASE * rise)
    return studies, rng.binomial(studies, rate)


def _cell(alarm: Floats) -> str:
    after = alarm[alarm >= BEGINS] - BEGINS + 1
    return f"{np.quantile(after, 0.5, method='higher'):.0f} ({100 * np.isfinite(after).mean():.0f} %)"


def _first(alarms: np.ndarray) -> Floats:
    return np.where(alarms.any(1), alarms.argmax(1), np.inf).astype(float)
