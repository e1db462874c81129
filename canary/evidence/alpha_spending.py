"""How high a test statistic must be at each planned look, so that all looks together err with alpha at most."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

Array = npt.NDArray[np.float64]
_POINTS = 401
_FAR = 9.0  # standard deviations below which nothing is lost
_NOTHING = 1e-14  # less than this is not worth a look


def spent(alpha: float, fraction: float) -> float:
    """What of a one-sided `alpha` is spent at a fraction of the planned number: little at first.

    (Lan & DeMets, Biometrika 1983, the function that resembles O'Brien & Fleming's limits.)
    """
    return float(2.0 * ndtr(ndtri(alpha / 2.0) / math.sqrt(fraction)))


@lru_cache(maxsize=64)
def limits(alpha: float, looks: tuple[int, ...]) -> tuple[float, ...]:
    """The z-value at each of the planned numbers of cases from which the null is refused, one-sided.

    The density of the statistic that has not crossed yet is carried from look to look (Armitage, McPherson & Rowe,
    JRSS A 1969).
    """
    times = [look / looks[-1] for look in looks]
    budget = [spent(alpha, time) for time in times]
    found = [float(-ndtri(budget[0]))]
    grid, density = _first(found[0], times[0])
    for k in range(1, len(looks)):
        step = math.sqrt(times[k] - times[k - 1])
        found.append(_limit(grid, density, step, times[k], budget[k] - budget[k - 1]))
        grid, density = _carried(grid, density, step, found[k] * math.sqrt(times[k]), times[k])
    return tuple(found)


def _first(limit: float, time: float) -> tuple[Array, Array]:
    root = math.sqrt(time)
    grid = np.linspace(-_FAR * root, min(limit, _FAR) * root, _POINTS)
    return grid, _normal(grid / root) / root


def _limit(grid: Array, density: Array, step: float, time: float, to_spend: float) -> float:
    if to_spend < _NOTHING:
        return math.inf

    def excess(z: float) -> float:
        crossing = ndtr((grid - z * math.sqrt(time)) / step)
        return float(np.trapezoid(density * crossing, grid)) - to_spend

    from scipy.optimize import brentq  # few processes plan looks, and it takes long to import

    return float(brentq(excess, 0.0, _FAR))  # type: ignore[no-untyped-call]


def _carried(grid: Array, density: Array, step: float, top: float, time: float) -> tuple[Array, Array]:
    root = math.sqrt(time)
    new = np.linspace(-_FAR * root, min(top, _FAR * root), _POINTS)
    kernel = _normal((new[:, None] - grid[None, :]) / step) / step
    carried: Array = np.asarray(np.trapezoid(kernel * density[None, :], grid, axis=1))
    return new, carried


def _normal(z: Array) -> Array:
    density: Array = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return density
