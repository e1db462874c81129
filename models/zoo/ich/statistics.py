"""AUC and shares with bootstrap intervals. One phantom is one person, so cases are exchangeable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

REPEATS = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval and the number of cases behind it; NaN when a class is missing."""

    value: float
    low: float
    high: float
    cases: int


def auc(scores: Floats, positive: Bools) -> float:
    """Area under the ROC curve (Mann-Whitney, ties count half)."""
    count = int(positive.sum())
    if count in (0, len(positive)):
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(positive) - count)))


def share(hits: Bools) -> float:
    return float(hits.mean()) if len(hits) else float("nan")


def bootstrap(statistic: Callable[[npt.NDArray[np.intp]], float], cases: int, seed: int = 1) -> Estimate:
    """Percentile bootstrap over cases; `statistic` gets the indices of one resample."""
    rng = np.random.default_rng(seed)
    draws = (
        np.array([statistic(rng.integers(0, cases, cases)) for _ in range(REPEATS)])
        if cases
        else np.array([])
    )
    value = statistic(np.arange(cases)) if cases else float("nan")
    draws = draws[np.isfinite(draws)]
    low, high = np.percentile(draws, [2.5, 97.5]) if len(draws) else (float("nan"), float("nan"))
    return Estimate(round(value, 4), round(float(low), 4), round(float(high), 4), cases)


def auc_estimate(scores: Floats, positive: Bools) -> Estimate:
    return bootstrap(lambda i: auc(scores[i], positive[i]), len(scores))


def share_estimate(hits: Bools) -> Estimate:
    return bootstrap(lambda i: share(hits[i]), len(hits))


def paired_gain(scores: Floats, baseline: Floats, positive: Bools) -> Estimate:
    """AUC of `scores` minus AUC of `baseline` on the same cases."""
    return bootstrap(lambda i: auc(scores[i], positive[i]) - auc(baseline[i], positive[i]), len(positive))
