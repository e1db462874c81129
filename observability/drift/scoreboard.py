"""Ground-truth sets that were read again and again by one version: what should never change, and whether it did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Z: Final = float(ndtri(0.975))


@dataclass(frozen=True, slots=True)
class Share:
    """`right` of `number`, with the bounds of an exact interval of 95 %; None of no study."""

    right: int
    number: int
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Auc:
    """With the bounds of an interval of 95 % (DeLong et al., Biometrics 1988;44:837), kept within 0 and 1."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SetRun:
    """One finding of one run of a set: `at_s` since the Unix epoch; `failed` studies count as wrong.

    `change`: what it told otherwise than the run before, or `first`, `as before`, or `incomplete`.
    """

    name: str
    set_version: int
    finding: str
    at_s: int
    sensitivity: Share
    specificity: Share
    failed: int
    unread: int
    auc: Auc | None = None
    change: str = "first"


def with_changes(runs: Sequence[SetRun]) -> tuple[SetRun, ...]:
    """The runs of one version of a model in their order, each with what it told otherwise than the run before of the
    same set and finding. The same version on the same studies should tell the same."""
    last: dict[tuple[str, int, str], SetRun] = {}
    told = []
    for one in sorted(runs, key=lambda run: run.at_s):
        key = (one.name, one.set_version, one.finding)
        told.append(_changed(one, last.get(key)))
        if not one.unread:
            last[key] = one
    return tuple(told)


def _changed(now: SetRun, before: SetRun | None) -> SetRun:
    if now.unread:
        return replace(now, change="incomplete")
    if before is None:
        return now
    pairs = (
        ("sensitivity", before.sensitivity, now.sensitivity),
        ("specificity", before.specificity, now.specificity),
    )
    said = [
        f"{name} {'fell' if new.right < old.right else 'rose'} from {old.right} to {new.right} of {new.number}"
        for name, old, new in pairs
        if old.right != new.right
    ]
    return replace(now, change=", ".join(said) or "as before")


def auc_of(positive: Sequence[float], negative: Sequence[float]) -> Auc | None:
    """The chance that a study with the finding scores above one without; None below two of a kind."""
    if min(len(positive), len(negative)) < 2:
        return None
    wins = _wins(np.asarray(positive), np.asarray(negative))
    value = float(wins.mean())
    of_positive, of_negative = wins.mean(1), wins.mean(0)
    variance = of_positive.var(ddof=1) / len(of_positive) + of_negative.var(ddof=1) / len(of_negative)
    half = Z * math.sqrt(float(variance))
    return Auc(value, max(0.0, value - half), min(1.0, value + half))


def _wins(positive: npt.NDArray[np.float64], negative: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    above = (positive[:, None] > negative).astype(float)
    result: npt.NDArray[np.float64] = above + 0.5 * (positive[:, None] == negative)
    return result
