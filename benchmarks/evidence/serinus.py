"""Serinus' own evidence on many runs at once: the product's factors, summed over arrays.

Each function returns for each run the study at which its evidence first reaches its limit, counted from 1, or inf.
`tests/unit/canary/evidence/test_benchmark.py` shows that the product, study by study, stops at the same ones.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.evidence.worlds import CanaryWorld, Flags, Floats, ShadowWorld
from canary.evidence.errors_by_arm import RATIOS
from canary.evidence.paired_difference import harm_log_factors, non_inferiority_log_factors
from core.bernoulli import odds_log_factors


def canary_stops(world: CanaryWorld, alpha: float) -> Floats:
    """Errors by arm, with the weight of each study's moment."""
    at, valid = _events(world.failed)
    weights = np.unique(world.weight_bp)
    hit = np.array([odds_log_factors(w / 10_000, RATIOS, hit=True) for w in weights])
    miss = np.array([odds_log_factors(w / 10_000, RATIOS, hit=False) for w in weights])
    row = np.searchsorted(weights, world.weight_bp[at])
    in_canary = np.take_along_axis(world.in_canary, at, axis=1)
    steps = np.where(in_canary[..., None], hit[row], miss[row])
    return _studies(at, _first(_log_mean(np.cumsum(steps * valid[..., None], axis=1)), alpha))


def shadow_stops(world: ShadowWorld, alpha: float) -> Floats:
    """Failures on the same studies; only studies on which one version failed move the evidence."""
    at, valid = _events(world.candidate_failed ^ world.champion_failed)
    worse, better = (np.array(harm_log_factors(difference)) for difference in (-1.0, 1.0))
    candidate = np.take_along_axis(world.candidate_failed, at, axis=1)
    steps = np.where(candidate[..., None], worse, better)
    return _studies(at, _first(_log_mean(np.cumsum(steps * valid[..., None], axis=1)), alpha))


def non_inferiority_stops(difference: Floats, margin: float, alpha: float) -> Floats:
    log_e = sum(
        np.cumsum(difference == value, axis=1)[..., None] * np.array(factors)
        for value in (-1.0, 0.0, 1.0)
        if (factors := non_inferiority_log_factors(value, margin=margin))
    )
    first = _first(_log_mean(np.asarray(log_e)), alpha)
    return np.where(first < difference.shape[1], first + 1.0, np.inf)


def _events(happened: Flags) -> tuple[np.ndarray, Flags]:
    """Where something happened, one row per run, padded at its end with invalid ones."""
    counts = happened.sum(axis=1)
    run, study = np.nonzero(happened)
    place = np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts)
    at = np.zeros((len(happened), max(1, counts.max())), dtype=np.int64)
    at[run, place] = study
    return at, np.arange(at.shape[1]) < counts[:, None]


def _log_mean(log_e: Floats) -> Floats:
    top = log_e.max(axis=-1)
    return top + np.log(np.exp(log_e - top[..., None]).mean(axis=-1))


def _first(log_e: Floats, alpha: float) -> np.ndarray:
    """The first place of each run at which the limit is reached, and the row's length where it never is."""
    reached = log_e >= -math.log(alpha)
    return np.where(reached.any(axis=1), reached.argmax(axis=1), log_e.shape[1])


def _studies(at: np.ndarray, first: np.ndarray) -> Floats:
    found = first < at.shape[1]
    study = at[np.arange(len(at)), np.where(found, first, 0)]
    return np.where(found, study + 1.0, np.inf)
