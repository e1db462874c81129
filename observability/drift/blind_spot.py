"""What cannot be seen yet: the smallest drift that a site of this volume finds in a week, a month, a quarter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from observability.drift.detector import SignalNull, watched
from observability.drift.dispersion import Floats

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
    slices = max(weeks) * slices_per_week
    common = _found_after(null, int(np.argmax(null.shares)), studies_per_slice, slices, log_limit)
    rare = _found_after(null, int(np.argmin(null.shares)), studies_per_slice, slices, log_limit)
    return tuple(
        BlindSpot(
            signal,
            count,
            round(studies_per_slice * slices_per_week * count),
            _least(common, count * slices_per_week),
            _least(rare, count * slices_per_week),
        )
        for count in weeks
    )


def _found_after(null: SignalNull, place: int, per_slice: float, slices: int, log_limit: float) -> Floats:
    """After how many slices each of `SHARES` is found; infinite: not within `slices`."""
    shares = np.asarray(SHARES)[:, None]
    moved = (1.0 - shares) * null.shares + shares * np.eye(len(null.shares))[place]
    counts = np.broadcast_to(per_slice * moved[:, None, :], (len(SHARES), slices, len(null.shares)))
    is_found = watched(null, counts).log_m >= log_limit
    result: Floats = np.where(is_found.any(1), is_found.argmax(1) + 1.0, math.inf)
    return result


def _least(found_after: Floats, slices: int) -> float | None:
    seen = np.flatnonzero(found_after <= slices)
    return SHARES[int(seen[0])] if len(seen) else None
