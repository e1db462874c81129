"""Performance from an audit that asks about some studies more than others.

A queue that asks mostly about positive studies makes a model look other than it is. Each audited study is weighed by
the inverse of the probability with which it was asked about (Horvitz & Thompson, J Am Stat Assoc 1952;47:663), and
the model's own probabilities stand in for the others: a control variate that cannot bias, only help
(prediction-powered inference: Angelopoulos et al., Science 2023;382:669).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv, ndtri

from observability.drift.dispersion import Floats

LEAST_OF_A_KIND: Final = 10
LEAST_NEGATIVE_SHARE: Final = 1.0 / 3.0


@dataclass(frozen=True, slots=True)
class AuditableStudy:
    """A study of the period. `says_positive`: above the operating point; `probability`: what its score means.

    `inclusion`: the probability with which it was to be asked about, known beforehand for every study and above 0.
    `is_present`: what was found; None where nobody was asked.
    """

    says_positive: bool
    probability: float
    inclusion: float
    is_present: bool | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.inclusion <= 1.0 or not 0.0 <= self.probability <= 1.0:
            raise ValueError("inclusion lies above 0 and up to 1, a probability within 0..1")


@dataclass(frozen=True, slots=True)
class ShareEstimate:
    """A share with its interval, which is of the confidence that was asked for in large audits."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class AuditedPerformance:
    """None where the audit is too small to say: below ten present or ten absent findings, or where a weighed share
    does not lie between 0 and 1.

    `caution` says in a sentence what the audit lacks, and is empty where it lacks nothing.
    """

    studies: int
    audited: int
    prevalence: ShareEstimate | None
    sensitivity: ShareEstimate | None
    ppv: ShareEstimate | None
    caution: str = ""


def audited_performance(studies: Sequence[AuditableStudy], confidence: float = 0.95) -> AuditedPerformance:
    """Of studies like those of the period, by one look at its end."""
    truths = [study.is_present for study in studies if study.is_present is not None]
    if min(sum(truths), len(truths) - sum(truths)) < LEAST_OF_A_KIND:
        said = f"The audit knows {sum(truths)} present and {len(truths) - sum(truths)} absent findings, "
        said += f"of which it needs {LEAST_OF_A_KIND} each."
        return AuditedPerformance(len(studies), len(truths), None, None, None, said)
    positive = np.array([study.says_positive for study in studies], dtype=float)
    present = _present(studies)
    z = float(ndtri(0.5 + confidence / 2.0))
    return AuditedPerformance(
        len(studies),
        len(truths),
        _ratio(present, np.ones_like(present), z),
        _sensitivity(studies, _ratio(present * positive, present, z), confidence),
        _ratio(present * positive, positive, z),
        _caution(studies, len(truths)),
    )


def _present(studies: Sequence[AuditableStudy]) -> Floats:
    """For each study an unbiased number for "present": what its score means, set right where it was asked about."""
    return np.array(
        [
            s.probability
            if s.is_present is None
            else s.probability + (float(s.is_present) - s.probability) / s.inclusion
            for s in studies
        ]
    )


def _ratio(over: Floats, under: npt.NDArray[np.float64], z: float) -> ShareEstimate | None:
    """A ratio of two means, with the interval of its linearised logit (Särndal et al. 1992, section 5.6)."""
    if under.mean() <= 0:
        return None
    value = float(over.mean() / under.mean())
    if not 0.0 < value < 1.0:
        return None
    spread = float(np.std((over - value * under) / under.mean(), ddof=1)) / math.sqrt(len(over))
    middle, half = math.log(value / (1.0 - value)), z * spread / (value * (1.0 - value))
    return ShareEstimate(value, _expit(middle - half), _expit(middle + half))


def _sensitivity(
    studies: Sequence[AuditableStudy], linear: ShareEstimate | None, confidence: float
) -> ShareEstimate | None:
    """The wider of the linearised interval and that of the few missed findings that were asked about, as a weighed
    sum of Poisson counts: a handful of misses is no normal variable."""
    caught = sum(1.0 / s.inclusion for s in studies if s.is_present and s.says_positive)
    if not caught:
        return linear
    missed = np.array([1.0 / s.inclusion for s in studies if s.is_present and not s.says_positive])
    heaviest = max((1.0 / s.inclusion for s in studies if not s.says_positive), default=1.0)
    few, many = _weighed_poisson(missed, heaviest, confidence)
    value = linear.value if linear is not None else caught / (caught + float(missed.sum()))
    low, high = caught / (caught + many), caught / (caught + few)
    if linear is not None:
        low, high = min(low, linear.low), max(high, linear.high)
    return ShareEstimate(value, min(low, value), max(high, value))


def _weighed_poisson(weights: Floats, heaviest: float, confidence: float) -> tuple[float, float]:
    """Bounds of a sum of weighed Poisson counts, of which `weights` came (Fay & Feuer, Stat Med 1997;16:791)."""
    tail, total, squares = (1.0 - confidence) / 2.0, float(weights.sum()), float((weights**2).sum())
    low = squares / total * float(gammaincinv(total**2 / squares, tail)) if total else 0.0
    total, squares = total + heaviest, squares + heaviest**2
    return low, squares / total * float(gammaincinv(total**2 / squares, 1.0 - tail))


def _expit(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-700.0, value)))


def _caution(studies: Sequence[AuditableStudy], audited: int) -> str:
    negative = sum(1 for study in studies if study.is_present is not None and not study.says_positive)
    if negative >= LEAST_NEGATIVE_SHARE * audited:
        return ""
    return (
        f"{negative} of {audited} audited studies were answered negative: below a third of them the sensitivity "
        "hangs on few studies."
    )
