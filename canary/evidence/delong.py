"""Two AUCs on the same studies (DeLong, DeLong & Clarke-Pearson, Biometrics 1988)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from canary.evidence.observations import ScorePair

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AucPair:
    """Both AUCs and the standard error of their difference, over so many positive and negative studies."""

    candidate: float
    champion: float
    standard_error: float
    positives: int
    negatives: int

    @property
    def difference(self) -> float:
        return self.candidate - self.champion


def compare_auc(pairs: Iterable[ScorePair]) -> AucPair:
    """Raises ValueError without two studies of either truth."""
    pairs = tuple(pairs)
    scores = np.array([_scores(pair) for pair in pairs], dtype=float).reshape(-1, 2)
    truth = np.array([pair.positive for pair in pairs], dtype=bool)
    m, n = int(truth.sum()), int((~truth).sum())
    if min(m, n) < 2:
        raise ValueError("an AUC needs two positive and two negative studies or more")
    positive, negative = (np.stack(c) for c in zip(*(_components(s, truth) for s in scores.T), strict=True))
    covariance = np.cov(positive) / m + np.cov(negative) / n
    variance = float(covariance[0, 0] + covariance[1, 1] - 2.0 * covariance[0, 1])
    candidate, champion = (float(auc) for auc in positive.mean(axis=1))
    return AucPair(candidate, champion, math.sqrt(max(0.0, variance)), m, n)


def _scores(pair: ScorePair) -> tuple[float, float]:
    worst = -math.inf if pair.positive else math.inf
    candidate, champion = pair.candidate_score, pair.champion_score
    return (worst if candidate is None else candidate, worst if champion is None else champion)


def _components(scores: Array, truth: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """How often each positive study lies above the negative ones, and each negative below the positive ones.

    Ranks instead of all pairs (Sun & Xu, IEEE Signal Processing Letters 2014); ties count half.
    """
    from scipy.stats import rankdata  # few processes rank, and it takes half a second to import

    ranks = rankdata(scores)
    inside_positive, inside_negative = rankdata(scores[truth]), rankdata(scores[~truth])
    m, n = len(inside_positive), len(inside_negative)
    return (ranks[truth] - inside_positive) / n, 1.0 - (ranks[~truth] - inside_negative) / m
