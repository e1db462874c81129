"""The published rules of others, written anew from their documents; not their code.

Each takes a canary's studies and returns for each run the study after which it aborts, counted from 1, or inf. What
a rule leaves open is decided in its favour, and said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.evidence.worlds import STUDIES_PER_DAY, CanaryWorld, Floats, Rows
from canary.evidence.alpha_spending import limits

MINUTES_PER_DAY = 1_440
HOURS_PER_DAY = 24
Z_05 = 1.6448536269514722  # one-sided, alpha 0.05
Z_01 = 2.3263478740408408  # two-sided 98 % interval


@dataclass(frozen=True, slots=True)
class Windows:
    """Studies and failures by arm and window, (runs, windows); `ends` is the last study of each window."""

    canary: Rows
    canary_failed: Rows
    champion: Rows
    champion_failed: Rows
    ends: Rows


def windows_of(world: CanaryWorld, per_day: int) -> Windows:
    runs, studies = world.failed.shape
    count = studies // STUDIES_PER_DAY * per_day
    ends = np.arange(1, count + 1) * STUDIES_PER_DAY // per_day
    canary = np.diff(world.canary_upto[:, ends - 1], axis=1, prepend=0)
    run, study = np.nonzero(world.failed)
    window, is_canary = np.searchsorted(ends, study, side="right"), world.in_canary[run, study]

    def counted(chosen: np.ndarray) -> Rows:
        place = run[chosen] * count + window[chosen]
        return np.bincount(place, minlength=runs * count).reshape(runs, count)

    champion = np.diff(ends, prepend=0) - canary
    return Windows(canary, counted(is_canary), champion, counted(~is_canary), ends)


def argo_rollouts(windows: Windows, *, at_least: float = 0.97, failure_limit: int = 3) -> Floats:
    """`successCondition: result >= 0.97`, `failureLimit: 3`: aborts at the fourth failed measurement.

    A window without a canary study counts as no measurement, which is the kindest reading.
    """
    failed = (windows.canary > 0) & (windows.canary - windows.canary_failed < at_least * windows.canary)
    return _at(failed.cumsum(axis=1) > failure_limit, windows.ends)


def flagger(windows: Windows, *, at_least: float = 0.99, threshold: int = 10) -> Floats:
    """`request-success-rate` of at least 99 %, `threshold: 10` failed checks, which are never forgotten.

    A window without a canary study is a failed check ("no values found").
    """
    is_empty = windows.canary == 0
    failed = is_empty | (windows.canary - windows.canary_failed < at_least * windows.canary)
    return _at(failed.cumsum(axis=1) >= threshold, windows.ends)


def flagger_each_minute(world: CanaryWorld) -> Floats:
    """The interval of Flagger's examples: ten minutes without a successful canary study are ten failed checks."""
    minute = np.arange(STUDIES_PER_DAY) * MINUTES_PER_DAY // STUDIES_PER_DAY
    passed = np.zeros((len(world.failed), MINUTES_PER_DAY), dtype=bool)
    first_day = world.in_canary[:, :STUDIES_PER_DAY] & ~world.failed[:, :STUDIES_PER_DAY]
    passed[:, minute] = first_day
    ends = np.searchsorted(minute, np.arange(MINUTES_PER_DAY), side="right")
    return _at((~passed).cumsum(axis=1) >= 10, ends)


def daily_z_test(days: Windows) -> Floats:
    """A pooled two-sample z-test of the two failure rates at the end of each day, until p < 0.05."""
    return _at(_z(days) > Z_05, days.ends)


def obrien_fleming(days: Windows, *, alpha: float = 0.05, looks: int = 40) -> Floats:
    """The same z, at 40 planned daily looks with O'Brien and Fleming's spending; then it ends."""
    bounds = np.array(limits(alpha, tuple(range(1, looks + 1))))
    return _at(_z(days)[:, :looks] >= bounds, days.ends[:looks])


def kayenta(points: Windows, *, first: int, every: int) -> Floats:
    """NetflixACAJudge on failure rates: High if the 98 % interval of the Hodges-Lehmann shift lies above its quarter.

    The window grows, judged at every `every`-th point from the `first` on, and one High aborts. A point without a
    study is 0 (`nanStrategy: replace`). The interval is that of Mann and Whitney's normal approximation.
    """
    canary = points.canary_failed / np.maximum(points.canary, 1)
    champion = points.champion_failed / np.maximum(points.champion, 1)
    looks = range(first, canary.shape[1] + 1, every)
    high = np.array(
        [[_is_high(x[:n], y[:n]) for n in looks] for x, y in zip(canary, champion, strict=True)], dtype=bool
    )
    return _at(high, points.ends[np.array(looks) - 1])


def _is_high(x: Floats, y: Floats) -> bool:
    """Over the distinct values and how often each comes, since most points are 0."""
    (xs, nx), (ys, ny) = (np.unique(v, return_counts=True) for v in (x, y))
    shifts, weights = (xs[:, None] - ys[None, :]).ravel(), (nx[:, None] * ny[None, :]).ravel()
    order = np.argsort(shifts)
    shifts, upto = shifts[order], np.cumsum(weights[order])
    n, m = len(x), len(y)
    rank = max(0, math.floor(n * m / 2 - Z_01 * math.sqrt(n * m * (n + m + 1) / 12)))
    low, middle = (shifts[np.searchsorted(upto, k, side="right")] for k in (rank, n * m // 2))
    return bool(low > 0.25 * abs(middle))


def _z(days: Windows) -> Floats:
    n, e, m, f = (
        counts.cumsum(axis=1)
        for counts in (days.canary, days.canary_failed, days.champion, days.champion_failed)
    )
    pooled = (e + f) / (n + m)
    spread = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-12) * (1 / np.maximum(n, 1) + 1 / np.maximum(m, 1)))
    z = (e / np.maximum(n, 1) - f / np.maximum(m, 1)) / spread
    return np.where((n == 0) | (pooled == 0), -np.inf, z)


def _at(aborted: np.ndarray, ends: Rows) -> Floats:
    """The study at the end of the first window in which a rule aborts."""
    return np.where(aborted.any(axis=1), ends[aborted.argmax(axis=1)].astype(float), np.inf)
