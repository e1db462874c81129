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
    """A figure with its 95 % interval and the number of cases behind it; None when a class is missing."""

    value: float | None
    low: float | None
    high: float | None
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
    value = statistic(np.arange(cases)) if cases else float("nan")
    if not np.isfinite(value):
        return Estimate(None, None, None, cases)
    rng = np.random.default_rng(seed)
    draws = np.array([statistic(rng.integers(0, cases, cases)) for _ in range(REPEATS)])
    low, high = np.percentile(draws[np.isfinite(draws)], [2.5, 97.5])
    return Estimate(round(value, 4), round(float(low), 4), round(float(high), 4), cases)


def auc_estimate(scores: Floats, positive: Bools) -> Estimate:
    return bootstrap(lambda i: auc(scores[i], positive[i]), len(scores))


def share_estimate(hits: Bools) -> Estimate:
    return bootstrap(lambda i: share(hits[i]), len(hits))


def balanced_accuracy(alarms: Bools, positive: Bools) -> float:
    """Mean of sensitivity and specificity."""
    return (share(alarms[positive]) + share(~alarms[~positive])) / 2


Measure = Callable[[Any, Bools], float]


def paired_gain(measure: Measure, after: Any, before: Any, positive: Bools) -> Estimate:
    """`measure` of one version's answers minus that of another's, on the same cases."""
    return bootstrap(
        lambda i: measure(after[i], positive[i]) - measure(before[i], positive[i]), len(positive)
    )
