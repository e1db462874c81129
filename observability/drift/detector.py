"""The evidence that one signal has drifted: a Shiryaev–Roberts e-detector over starting slices.

For every slice at which a drift may have begun, an e-value compares all slices since then with the reference; their
sum M is read after each slice. Under the reference M grows by 1 a slice in the mean, so the first time at which it
reaches A comes after A slices or more in the mean (Shin, Ramdas & Rinaldo, "E-detectors", NEJSDS 2024, theorem 2.4).

- The null is the posterior predictive of the reference and of all that was watched before the slice: it knows how
  well the shares are known. The promise so holds in the mean over the shares that the reference leaves open.
- The alternative is a mixture over shares near to and far from those of the reference, which learns from the slices
  since the start (`CONCENTRATIONS`, as pseudo-studies).
- Both waver by the reference's own concentration c0 (`dispersion.py`). Without dispersion all this is the closed form
  of two Dirichlet-multinomials and exact; with it, the posterior of the shares is matched by its variance.

Starts thin out with age, so that old ones reach far back and few are kept: to leave a start out makes M smaller.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from observability.drift.dispersion import (
    PRIOR,
    Counts,
    Floats,
    discount,
    fitted_concentration,
    log_probability,
    predictive,
)

CONCENTRATIONS: Final = np.array([20.0, 100.0, 500.0, 2_000.0])
YOUTH: Final = 16  # slices for which every start is kept
OLDEST_DOUBLINGS: Final = 8


@dataclass(frozen=True, slots=True)
class SignalNull:
    """What the reference says of a signal: pseudo-counts of its shares (bins,), and how they waver by slice."""

    posterior: Floats
    c0: float

    @property
    def shares(self) -> Floats:
        result: Floats = self.posterior / self.posterior.sum()
        return result


@dataclass(frozen=True, slots=True)
class Evidence:
    """Natural log of M after each slice (..., slices); of each start that is kept, the slice and log e (..., starts).

    The leading axes are those of the counts: independent streams, one of them in a live system.
    """

    log_m: Floats
    starts: tuple[int, ...]
    log_e: Floats

    @property
    def now(self) -> float:
        """log M after the last slice of a single stream; -inf before the first."""
        return float(self.log_m[-1]) if self.log_m.size else -math.inf

    @property
    def began(self) -> int:
        """The slice, from 0, at which a drift of a single stream most likely began."""
        return self.starts[int(np.argmax(self.log_e))] if self.starts else 0


def null_of(reference: npt.NDArray[np.integer]) -> SignalNull:
    """From the reference's counts (slices, bins)."""
    c0 = fitted_concentration(reference)
    told = discount(reference.sum(1, keepdims=True), c0) * reference
    return SignalNull(PRIOR + told.sum(0), c0)


def watched(null: SignalNull, counts: Counts) -> Evidence:
    """The evidence after each slice of counts (..., slices, bins). The same counts give the same bits."""
    streams, slices = counts.shape[:-2], counts.shape[-2]
    posterior = np.broadcast_to(null.posterior, (*streams, counts.shape[-1])).copy()
    learned = np.zeros((*streams, 0, counts.shape[-1]))
    log_bets = np.zeros((*streams, 0, len(CONCENTRATIONS)))
    log_m, starts = np.full((*streams, slices), -np.inf), np.zeros(0, dtype=int)
    for now in range(slices):
        kept = [index for index, start in enumerate(starts) if _is_kept(int(start), now)]
        starts = np.append(starts[kept], now)
        learned = _with_new(learned[..., kept, :])
        log_bets = _with_new(log_bets[..., kept, :])
        seen = counts[..., now, :]
        log_bets += _log_factors(null, posterior, learned, seen)
        told = discount(seen.sum(-1, keepdims=True), null.c0) * seen
        posterior += told
        learned += told[..., None, :]
        log_m[..., now] = np.logaddexp.reduce(_mixed(log_bets), axis=-1)
    return Evidence(log_m, tuple(int(start) for start in starts), _mixed(log_bets))


def mean_of(log_m: Sequence[Floats] | Floats) -> Floats:
    """Log of the mean of several M along the first axis: an e-detector, however the signals hang together."""
    result: Floats = np.logaddexp.reduce(np.asarray(log_m), axis=0) - math.log(len(log_m))
    return result


def _log_factors(null: SignalNull, posterior: Floats, learned: Floats, seen: Counts) -> Floats:
    """What one slice adds to each bet, (..., starts, bets)."""
    alternative = CONCENTRATIONS[:, None] * null.shares + learned[..., None, :]
    log_alternative = log_probability(seen[..., None, None, :], predictive(alternative, null.c0))
    log_null = log_probability(seen, predictive(posterior, null.c0))
    result: Floats = log_alternative - log_null[..., None, None]
    return result


def _mixed(log_bets: Floats) -> Floats:
    result: Floats = np.logaddexp.reduce(log_bets, axis=-1) - math.log(len(CONCENTRATIONS))
    return result


def _with_new(rows: Floats) -> Floats:
    return np.concatenate([rows, np.zeros((*rows.shape[:-2], 1, rows.shape[-1]))], axis=-2)


def _is_kept(start: int, now: int) -> bool:
    """Every start while it is young; of the older ones each second, fourth, eighth, …"""
    doublings = OLDEST_DOUBLINGS if start == 0 else min((start & -start).bit_length() - 1, OLDEST_DOUBLINGS)
    return now - start < YOUTH << doublings
