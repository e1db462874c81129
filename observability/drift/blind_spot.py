"""What cannot be seen yet: the smallest drift that a site of this volume finds in a week, a month, a quarter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from observability.drift.detector import SignalNull, after, begun

WEEKS: Final = (1, 4, 12)
SHARES: Final = tuple(float(share) for share in np.geomspace(0.005, 1.0, 24))


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """Within `weeks`, in which `studies` come: the least share of studies that must move for the drift to be found.

    `into_common`: when they move into the most common bin, which hides best; `into_rare`: into the rarest, which
    shows best. None: not even when all of them move.
    """

    signal: str
    weeks: int
    studies: int
    into_common: float | None
    into_rare: float | None


def blind_spots(
    signal: str,
    null: SignalNull,
    *,
    studies_per_slice: float,
    slices_per_week: int,
    log_limit: float,
    weeks: Sequence[int] = WEEKS,
) -> tuple[BlindSpot, ...]:
    """`log_limit`: log M that this signal needs by itself, which is that of all less the log of its weight.

    Computed with the counts that are to be expected, so about half of such drifts are found sooner and half later.
    """
    places = (int(np.argmax(null.shares)), int(np.argmin(null.shares)))
    common, rare = (_Search(null, place, studies_per_slice, log_limit) for place in places)
    return tuple(
        BlindSpot(
            signal,
            count,
            round(studies_per_slice * slices_per_week * count),
            common.least(count * slices_per_week),
            rare.least(count * slices_per_week),
        )
        for count in weeks
    )


class _Search:
    """The least of `SHARES` that is found in time when it moves into one bin: a larger one is found sooner."""

    def __init__(self, null: SignalNull, place: int, per_slice: float, log_limit: float) -> None:
        self._null = null
        self._place = place
        self._per_slice = per_slice
        self._log_limit = log_limit
        self._known: dict[
            int, tuple[int, bool]
        ] = {}  # by share: after so many slices, and whether it was found

    def least(self, slices: int) -> float | None:
        low, high = 0, len(SHARES)
        while low < high:
            middle = (low + high) // 2
            if self._is_found(middle, slices):
                high = middle
            else:
                low = middle + 1
        return SHARES[low] if low < len(SHARES) else None

    def _is_found(self, share: int, slices: int) -> bool:
        looked, found = self._known.get(share, (0, False))
        if not found and looked < slices:
            looked, found = self._known[share] = self._look(SHARES[share], slices)
        return found and looked <= slices

    def _look(self, share: float, slices: int) -> tuple[int, bool]:
        moved = share * np.eye(len(self._null.shares))[self._place]
        counts = self._per_slice * ((1.0 - share) * self._null.shares + moved)
        progress = begun(self._null)
        for now in range(1, slices + 1):
            progress = after(self._null, progress, counts)
            if progress.log_m >= self._log_limit:
                return now, True
        return slices, False
