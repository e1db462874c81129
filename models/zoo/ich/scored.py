"""Figures of one set that every version has read: by stratum, with intervals, and paired between versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models.zoo.ich.bleed import BleedKind
from models.zoo.ich.phantom import Labels
from models.zoo.ich.statistics import (
    Bools,
    Floats,
    auc,
    auc_estimate,
    balanced_accuracy,
    paired_gain,
    share_estimate,
)

STRATA: dict[str, Callable[[Labels], bool]] = {
    "all": lambda _: True,
    "intra-axial": lambda case: case.kind is not BleedKind.RIM,
    "rim": lambda case: case.kind is not BleedKind.INTRA_AXIAL,
    "thin": lambda case: not case.thick,
    "thick": lambda case: case.thick,
    "low noise": lambda case: not case.noisy,
    "high noise": lambda case: case.noisy,
    "calcified": lambda case: case.calcified,
    "metal": lambda case: case.metal,
}


@dataclass(frozen=True, slots=True)
class Scored:
    """One set, read by every version: `scores[version]` is NaN where the version raised."""

    labels: tuple[Labels, ...]
    scores: Mapping[int, Floats]

    @property
    def positive(self) -> Bools:
        return np.array([case.positive for case in self.labels])

    def stratum(self, name: str) -> Bools:
        return np.array([STRATA[name](case) for case in self.labels])


def figures(scored: Scored, version: int, threshold: float | None) -> dict[str, Any]:
    """Per stratum: AUC, cases that the version could not read, and with a threshold sensitivity and specificity."""
    strata = {name: scored.stratum(name) for name in STRATA}
    return {
        name: _stratum(scored, version, threshold, chosen) for name, chosen in strata.items() if chosen.any()
    }


def _stratum(scored: Scored, version: int, threshold: float | None, chosen: Bools) -> dict[str, Any]:
    read = chosen & np.isfinite(scored.scores[version])
    scores, positive = scored.scores[version][read], scored.positive[read]
    result: dict[str, Any] = {
        "auc": asdict(auc_estimate(scores, positive)),
        "failed": int(chosen.sum() - read.sum()),
    }
    if threshold is not None:
        result["sensitivity"] = asdict(share_estimate(scores[positive] >= threshold))
        result["specificity"] = asdict(share_estimate(scores[~positive] < threshold))
    return result


def gains(
    scored: Scored, version: int, baseline: int, thresholds: Mapping[int, float] | None
) -> dict[str, Any]:
    """Gains over the baseline per stratum, on the cases that both could read: AUC and, with thresholds, balanced
    accuracy."""
    result: dict[str, Any] = {"over": baseline, "auc": {}}
    for name, chosen in _comparable(scored, (version, baseline)):
        positive = scored.positive[chosen]
        after, before = (scored.scores[v][chosen] for v in (version, baseline))
        result["auc"][name] = asdict(paired_gain(auc, after, before, positive))
        if thresholds is not None:
            alarms = (after >= thresholds[version], before >= thresholds[baseline])
            gain = paired_gain(balanced_accuracy, *alarms, positive)
            result.setdefault("balanced accuracy", {})[name] = asdict(gain)
    return result


def _comparable(scored: Scored, versions: tuple[int, int]) -> Iterator[tuple[str, Bools]]:
    """Strata with both classes among the cases that both versions have read."""
    both = np.isfinite([scored.scores[version] for version in versions]).all(0)
    for name in STRATA:
        chosen = both & scored.stratum(name)
        if 0 < scored.positive[chosen].sum() < chosen.sum():
            yield name, chosen
