"""When each rule alarms first, in studies; inf: never. Counts are (streams, blocks of 50, signals, bins)."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import chdtrc

from benchmarks.drift.worlds import WORDS, Floats, Ints
from observability.drift.belief import believed
from observability.drift.detector import SignalNull, mean_of, null_of, watched
from observability.drift.dispersion import NO_DISPERSION

BLOCK: Final = 50
WINDOW: Final = 500
LEAST_EXPECTED: Final = 5.0


def evidence(reference: Ints, counts: Ints, per_slice: int, wavers: bool) -> Floats:
    """log M of the product's own detector after each slice of `per_slice` blocks, the mean over the signals;
    `wavers`: with the concentration and the belief that are fitted to the reference."""
    streams, _, signals, bins = counts.shape
    slices = counts.reshape(streams, -1, per_slice, signals, bins).sum(2)
    known = reference.reshape(-1, per_slice, signals, bins).sum(1)
    nulls = [_null(known[:, index], index >= WORDS, wavers) for index in range(signals)]
    return mean_of([watched(null, slices[:, :, index]).log_m for index, null in enumerate(nulls)])


def _null(known: Ints, is_ordered: bool, wavers: bool) -> SignalNull:
    if not wavers:
        return SignalNull(known.sum(0) + 0.5, NO_DISPERSION, is_ordered)
    return believed(null_of(known, is_ordered=is_ordered), known)


def serinus(log_m: Floats, arl_studies: float, per_slice: int) -> Floats:
    size = BLOCK * per_slice
    return _first(log_m >= np.log(arl_studies / size), size, size)


def repeated_p_value(reference: Ints, counts: Ints, alpha: float) -> Floats:
    """Pearson's χ² of each signal in the last `WINDOW` studies against the reference, after every block."""
    windows, known = _windows(counts), reference.sum(0)
    smallest = np.ones(windows.shape[:2])
    for index in range(windows.shape[2]):
        now, then = _pooled(windows[:, :, index], known[index])
        total = now.sum(-1, keepdims=True) + then.sum()
        expected = (now + then) * (now.sum(-1, keepdims=True) / total)
        expected_then = (now + then) * (then.sum() / total)
        with np.errstate(invalid="ignore", divide="ignore"):
            terms = (now - expected) ** 2 / expected + (then - expected_then) ** 2 / expected_then
        smallest = np.minimum(smallest, chdtrc(now.shape[-1] - 1, np.nan_to_num(terms).sum(-1)))
    return _first(smallest < alpha, BLOCK, WINDOW)


def stability_index(reference: Ints, counts: Ints, limit: float) -> Floats:
    """PSI of any signal above `limit` in the last `WINDOW` studies, as it is used: no word about chance."""
    windows, known = _windows(counts) + 0.5, reference.sum(0) + 0.5
    p, q = windows / windows.sum(-1, keepdims=True), known / known.sum(-1, keepdims=True)
    return _first((((p - q) * np.log(p / q)).sum(-1) > limit).any(-1), BLOCK, WINDOW)


def adwin(values: Floats, delta: float) -> Floats:
    """ADWIN (Bifet & Gavaldà 2007, section 3.2) on each signal, numbers scaled to [0, 1] by the first 500 studies.

    Every cut of the window between two blocks is tried after each block; up to its first alarm the window only grows,
    so no memory is lost. A word is "is it the commonest".
    """
    series = values.copy()
    low, high = np.quantile(series[:, :500], (0.001, 0.999), axis=1, keepdims=True)
    series[..., :WORDS] = (series[..., :WORDS] == 0).astype(float)
    series[..., WORDS:] = np.clip((series - low) / (high - low), 0.0, 1.0)[..., WORDS:]
    streams, count, signals = series.shape
    sums = series.reshape(streams, -1, BLOCK, signals).sum(2).cumsum(1)
    squares = (series**2).reshape(streams, -1, BLOCK, signals).sum(2).cumsum(1)
    blocks = count // BLOCK
    drifted = np.zeros((streams, blocks), dtype=bool)
    for now in range(1, blocks):
        n = BLOCK * (now + 1)
        n0 = BLOCK * np.arange(1.0, now + 1.0)[None, :, None]
        n1 = n - n0
        whole, part = sums[:, now : now + 1], sums[:, :now]
        gap = np.abs(part / n0 - (whole - part) / n1)
        variance = squares[:, now : now + 1] / n - (whole / n) ** 2
        m, log_delta = 1.0 / (1.0 / n0 + 1.0 / n1), np.log(2.0 * np.log(n) / delta)
        limit = np.sqrt(2.0 / m * variance * log_delta) + 2.0 / (3.0 * m) * log_delta
        drifted[:, now] = (gap > limit).any((1, 2))
    return _first(drifted, BLOCK, BLOCK)


def _windows(counts: Ints) -> Ints:
    """Counts of the last `WINDOW` studies, from the first full window on."""
    blocks = WINDOW // BLOCK
    summed = np.concatenate([np.zeros_like(counts[:, :1]), counts.cumsum(1)], axis=1)
    return summed[:, blocks:] - summed[:, :-blocks]


def _pooled(now: Ints, known: Ints) -> tuple[Floats, Floats]:
    """Bins in which fewer than five studies of a window are expected become one."""
    rare = known / known.sum() * WINDOW < LEAST_EXPECTED
    pooled_now = np.concatenate([now[..., ~rare], now[..., rare].sum(-1, keepdims=True)], axis=-1)
    pooled_known = np.concatenate([known[~rare], known[rare].sum(keepdims=True)])
    return pooled_now.astype(float), pooled_known.astype(float)


def _first(alarms: np.ndarray, step: int, offset: int) -> Floats:
    """The studies after which each stream alarms first."""
    return np.where(alarms.any(1), offset + step * alarms.argmax(1), np.inf).astype(float)
