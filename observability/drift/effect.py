"""How large a drift is, apart from how certain: PSI, the shift in the signal's unit, the bins that carry it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import betaln

from observability.drift.dispersion import PRIOR, Floats
from observability.drift.signals import SignalSpec

_BINARY_CONCENTRATIONS: Final = (20.0, 100.0, 500.0, 2_000.0)


@dataclass(frozen=True, slots=True)
class BinEffect:
    """One bin: its studies, those that the reference lets expect, and the natural log of its own Bayes factor."""

    label: str
    studies: int
    expected: float
    log_bayes_factor: float


@dataclass(frozen=True, slots=True)
class Effect:
    """`psi`: the population stability index less what chance alone gives it, not below 0.

    `shift` in the signal's unit: how far the mean moved, as far as it moved between the outer edges; None for words.
    `distance`: the same without signs that cancel (Wasserstein's first). `bins`: the strongest first.
    """

    studies: int
    psi: float
    shift: float | None
    distance: float | None
    bins: tuple[BinEffect, ...]


def effect_of(
    signal: SignalSpec, reference: npt.NDArray[np.integer], now: npt.NDArray[np.integer], most_bins: int = 3
) -> Effect:
    """From the counts by bin of the reference and of what is watched."""
    shift = distance = None
    if signal.is_numeric and now[:-1].any() and reference[:-1].any():
        before, after = _cumulated(reference), _cumulated(now)
        widths = np.diff(np.asarray(signal.edges))
        shift = float(((before - after) * widths).sum())
        distance = float((np.abs(before - after) * widths).sum())
    bins = _bins(signal, reference, now)[:most_bins]
    return Effect(int(now.sum()), stability_index(reference, now), shift, distance, bins)


def stability_index(reference: npt.NDArray[np.integer], now: npt.NDArray[np.integer]) -> float:
    """Σ (p-q) ln(p/q), less its mean under chance, which is about (bins-1)(1/n + 1/m) for n and m studies.

    0.1 is called a small and 0.25 a large change, by custom of credit scoring; no theory stands behind it.
    """
    if not now.sum() or not reference.sum():
        return 0.0
    p, q = _shares(now), _shares(reference)
    used = int(np.count_nonzero(reference + now))
    chance = (used - 1) * (1.0 / now.sum() + 1.0 / reference.sum())
    return max(0.0, float(((p - q) * np.log(p / q)).sum() - chance))


def _shares(counts: npt.NDArray[np.integer]) -> Floats:
    result: Floats = (counts + PRIOR) / (counts.sum() + PRIOR * len(counts))
    return result


def _cumulated(counts: npt.NDArray[np.integer]) -> Floats:
    """The mean share below a value between each two edges, of those that tell one; evenly spread within a bin."""
    below = np.cumsum(counts[:-1])[:-1] / counts[:-1].sum()
    result: Floats = (below[:-1] + below[1:]) / 2.0
    return result


def _bins(
    signal: SignalSpec, reference: npt.NDArray[np.integer], now: npt.NDArray[np.integer]
) -> tuple[BinEffect, ...]:
    """Each bin against all others, the strongest evidence first."""
    studies, known = int(now.sum()), int(reference.sum())
    rows = zip(signal.labels, now.tolist(), _shares(reference).tolist(), strict=True)
    effects = [
        BinEffect(label, count, studies * share, _log_bayes_factor(count, studies, share, known))
        for label, count, share in rows
    ]
    return tuple(sorted(effects, key=lambda effect: -effect.log_bayes_factor))


def _log_bayes_factor(count: int, studies: int, share: float, reference_studies: int) -> float:
    """Beta-binomials of the bin alone: what a Dirichlet-multinomial says of one bin and the rest."""
    null = _log_beta_binomial(count, studies, share, reference_studies + 1.0)
    bets = [_log_beta_binomial(count, studies, share, c) - null for c in _BINARY_CONCENTRATIONS]
    top = max(bets)
    return top + math.log(sum(math.exp(bet - top) for bet in bets) / len(bets))


def _log_beta_binomial(count: int, studies: int, share: float, concentration: float) -> float:
    a, b = share * concentration, (1.0 - share) * concentration
    return float(betaln(count + a, studies - count + b) - betaln(a, b))
