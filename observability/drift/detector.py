"""The evidence that one signal has drifted: a Shiryaev–Roberts e-detector over starting slices.

For every slice at which a drift may have begun, an e-value compares all slices since then with the reference; their
sum M is read after each slice. Under the reference M grows by 1 a slice in the mean, so the first time at which it
reaches A comes after A slices or more in the mean (Shin, Ramdas & Rinaldo, "E-detectors", NEJSDS 2024, theorem 2.4).

- The null is the posterior predictive of the reference and of all that was watched before the slice: it knows how
  well the shares are known. The promise so holds in the mean over the shares that the reference leaves open.
- Half of the evidence is a mixture over shares near to and far from those of the reference, which learns from the
  slices since the start (`CONCENTRATIONS`, as pseudo-studies): it finds any drift.
- The other half bets on the simple ones: a part of the studies (`PARTS`) moves into one bin, or, of a number, above
  or below one edge. It has nothing to learn and finds those sooner.
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
PARTS: Final = (0.05, 0.2)
YOUTH: Final = 16  # slices for which every start is kept
OLDEST_DOUBLINGS: Final = 8


@dataclass(frozen=True, slots=True)
class SignalNull:
    """What the reference says of a signal: pseudo-counts of its shares (bins,), and how they waver by slice.

    `is_ordered`: the bins but the last, `missing`, are those of a number. `belief`: the power to which each slice's
    likelihood ratio is raised (`belief.py`).
    """

    posterior: Floats
    c0: float
    is_ordered: bool = False
    belief: float = 1.0

    @property
    def shares(self) -> Floats:
        result: Floats = self.posterior / self.posterior.sum()
        return result


@dataclass(frozen=True, slots=True)
class Evidence:
    """Natural log of M after each slice (..., slices); of each start that is kept, the slice and log e (..., starts)
    of the half that learns.

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


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the evidence of a signal stands after `slices` slices; leading axes are streams.

    `posterior`: pseudo-counts of the null (bins,). Of each start that is kept: its slice, what it has learned (bins,)
    and the log e of its bets. `log_moved`: log M of each simple drift.
    """

    slices: int
    posterior: Floats
    starts: tuple[int, ...]
    learned: Floats
    log_bets: Floats
    log_moved: Floats

    @property
    def log_m(self) -> Floats:
        """Half the evidence of any drift, half that of the simple ones."""
        any_drift = np.logaddexp.reduce(_mixed(self.log_bets), axis=-1)
        result: Floats = np.logaddexp(any_drift, _mixed(self.log_moved)) - math.log(2.0)
        return result


def null_of(
    reference: npt.NDArray[np.integer], *, is_ordered: bool = False, belief: float = 1.0
) -> SignalNull:
    """From the reference's counts (slices, bins)."""
    c0 = fitted_concentration(reference)
    told = discount(reference.sum(1, keepdims=True), c0) * reference
    return SignalNull(PRIOR + told.sum(0), c0, is_ordered, belief)


def watched(null: SignalNull, counts: Counts) -> Evidence:
    """The evidence after each slice of counts (..., slices, bins). The same counts give the same bits."""
    progress = begun(null, counts.shape[:-2])
    log_m = np.full(counts.shape[:-1], -np.inf)
    for now in range(counts.shape[-2]):
        progress = after(null, progress, counts[..., now, :])
        log_m[..., now] = progress.log_m
    return Evidence(log_m, progress.starts, _mixed(progress.log_bets))


def begun(null: SignalNull, streams: tuple[int, ...] = ()) -> Progress:
    """Before the first slice of one stream, or of many of shape `streams`."""
    bins, moves = len(null.posterior), len(_moves(null))
    return Progress(
        0,
        np.broadcast_to(null.posterior, (*streams, bins)),
        (),
        np.zeros((*streams, 0, bins)),
        np.zeros((*streams, 0, len(CONCENTRATIONS))),
        np.full((*streams, moves), -np.inf),
    )


def after(null: SignalNull, before: Progress, seen: Counts) -> Progress:
    """After one more slice, of counts (..., bins); to go on step by step gives the bits of `watched`."""
    kept = [index for index, start in enumerate(before.starts) if _is_kept(start, before.slices)]
    learned = _with_new(before.learned[..., kept, :])
    log_null = log_probability(seen, predictive(before.posterior, null.c0))
    learning = null.belief * (_log_learning(null, learned, seen) - log_null[..., None, None])
    moved = log_probability(seen[..., None, :], null.c0 * _moves(null))
    moving = null.belief * (moved - log_null[..., None])
    told = discount(seen.sum(-1, keepdims=True), null.c0) * seen
    return Progress(
        before.slices + 1,
        before.posterior + told,
        (*(before.starts[index] for index in kept), before.slices),
        learned + told[..., None, :],
        _with_new(before.log_bets[..., kept, :]) + learning,
        moving + np.logaddexp(0.0, before.log_moved),
    )


def mean_of(log_m: Sequence[Floats] | Floats) -> Floats:
    """Log of the mean of several M along the first axis: an e-detector, however the signals hang together."""
    result: Floats = np.logaddexp.reduce(np.asarray(log_m), axis=0) - math.log(len(log_m))
    return result


def _log_learning(null: SignalNull, learned: Floats, seen: Counts) -> Floats:
    """Log-probability of one slice under each bet of each start, (..., starts, bets)."""
    alternative = CONCENTRATIONS[:, None] * null.shares + learned[..., None, :]
    return log_probability(seen[..., None, None, :], predictive(alternative, null.c0))


def _moves(null: SignalNull) -> Floats:
    """The shares of each simple drift (bets, bins): a part moves into a set of bins, shared there as before."""
    bins = len(null.shares)
    place, sets = np.arange(bins), [np.arange(bins) == one for one in range(bins)]
    if null.is_ordered:
        told = place < bins - 1
        sets += [told & (place >= low) for low in range(1, bins - 2)]
        sets += [told & (place <= high) for high in range(1, bins - 2)]
    within = np.array(sets) * null.shares
    within /= within.sum(1, keepdims=True)
    return np.concatenate([(1.0 - part) * null.shares + part * within for part in PARTS])


def _mixed(log_bets: Floats) -> Floats:
    """Log of the mean over the last axis."""
    result: Floats = np.logaddexp.reduce(log_bets, axis=-1) - math.log(log_bets.shape[-1])
    return result


def _with_new(rows: Floats) -> Floats:
    return np.concatenate([rows, np.zeros((*rows.shape[:-2], 1, rows.shape[-1]))], axis=-2)


def _is_kept(start: int, now: int) -> bool:
    """Every start while it is young; of the older ones each second, fourth, eighth, …"""
    doublings = OLDEST_DOUBLINGS if start == 0 else min((start & -start).bit_length() - 1, OLDEST_DOUBLINGS)
    return now - start < YOUTH << doublings
