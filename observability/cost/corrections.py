"""A book that is only ever added to: what was posted stays, and what came late is posted as the difference."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def correcting(posted: Mapping[K, int], found: Mapping[K, int]) -> dict[K, int]:
    """What has to be added to the sums that are `posted` so that they are what was `found`; empty if they are.

    An account that is new is posted even with 0: it tells of a delivered study.
    """
    differences = {key: found.get(key, 0) - posted.get(key, 0) for key in {**posted, **found}}
    return {key: change for key, change in differences.items() if change or key not in posted}
