"""Counts that waver more than chance: the Dirichlet-multinomial, its concentration, and what a slice then tells.

In a hospital the mix of scanners differs from week to week for reasons that are no drift. A slice's own shares are
drawn from Dirichlet(c0 · q) around the long-run shares q, and its studies from those; c0 → ∞ is plain chance. Where
concentrations meet, they are matched by their variance.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.integer] | Floats  # Floats: counts that are to be expected
PRIOR: Final = 0.5  # Jeffreys' prior count of each bin
NO_DISPERSION: Final = 1e9  # a concentration at which nothing but chance is left
_LOG_LIMITS: Final = (-2.0, 14.0)
SAFETY: Final = 0.5


def log_probability(counts: Counts, concentrations: Floats) -> Floats:
    """Log of the Dirichlet-multinomial probability of counts (..., bins) in one order of the studies.

    The multinomial coefficient is left out: it is the same under every hypothesis.
    """
    studies, total = counts.sum(-1), concentrations.sum(-1)
    bins = gammaln(counts + concentrations) - gammaln(concentrations)
    result: Floats = gammaln(total) - gammaln(studies + total) + bins.sum(-1)
    return result


def fitted_concentration(counts: npt.NDArray[np.integer]) -> float:
    """Half of the most likely c0 of slices (slices, bins) around their common shares: half, for safety.

    `NO_DISPERSION` where the slices waver no more than chance, or where one bin holds all of them.
    """
    used = counts[counts.sum(1) > 1]
    total = used.sum(0) + PRIOR
    if len(used) < 2 or np.count_nonzero(used.sum(0)) < 2:
        return NO_DISPERSION
    shares = total / total.sum()
    from scipy.optimize import minimize_scalar  # few processes fit, and it takes long to import

    found = minimize_scalar(  # type: ignore[no-untyped-call]
        lambda log_c0: -float(log_probability(used, np.exp(log_c0) * shares).sum()),
        bounds=_LOG_LIMITS,
        method="bounded",
    )
    is_chance = found.x > _LOG_LIMITS[1] - 0.1
    return NO_DISPERSION if is_chance else SAFETY * float(np.exp(found.x))


def discount(studies: Counts, c0: float | Floats) -> Floats:
    """What one of a slice's studies tells of the long-run shares: 1 without dispersion, less the more came at once.

    A share among n studies of a slice has the variance q(1-q)/n · (c0+n)/(c0+1).
    """
    result: Floats = (c0 + 1.0) / (c0 + np.maximum(studies, 1))
    return result


def predictive(posterior: Floats, c0: float) -> Floats:
    """Concentrations (..., bins) of the next slice, when the long-run shares are Dirichlet(`posterior`).

    The variance of both steps is 1/(κ+1) = 1/(C+1) + C/(C+1)/(c0+1); at c0 → ∞ κ is C, which is exact.
    """
    total = posterior.sum(-1, keepdims=True)
    result: Floats = posterior * (c0 / (total + c0 + 1.0))
    return result
