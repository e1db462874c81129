"""From when on a study is slow: above the bucket in which the 99th percentile of its modality lies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Final

from observability.metrics.instruments import SECONDS
from observability.metrics.series import OTHER, Series
from observability.record import UNKNOWN

FEWEST: Final = 100
"""Of fewer studies nobody can say what one in a hundred is."""


def limits_of(durations: Iterable[tuple[str, Series]]) -> Mapping[str, float]:
    """Seconds by modality, of the counts of `serinus_study_duration_seconds`: at most one in a hundred is above."""
    counts: dict[str, list[int]] = {}
    for modality, series in durations:
        if len(series.counts) == len(SECONDS) + 1 and modality not in (UNKNOWN, OTHER):
            before = counts.get(modality, [0] * len(series.counts))
            counts[modality] = [a + b for a, b in zip(before, series.counts, strict=True)]
    found = {modality: _limit_s(own) for modality, own in counts.items() if sum(own) >= FEWEST}
    return {modality: limit_s for modality, limit_s in found.items() if limit_s is not None}


def _limit_s(counts: list[int]) -> float | None:
    """None when more than one in a hundred took longer than the last bound."""
    within = accumulate(counts[:-1])
    return next(
        (bound for bound, n in zip(SECONDS, within, strict=True) if 100 * n >= 99 * sum(counts)), None
    )
