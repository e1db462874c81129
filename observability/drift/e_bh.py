"""Which of several e-values speak, when many were looked at."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


def found_among(log_weighted: Mapping[Key, float], log_limit: float) -> tuple[Key, ...]:
    """The k largest, where each is at least limit/k; the largest first, as many as may be.

    `log_weighted`: log of each e-value times its weight, weights of the sum 1. Of those that are named at most one
    in 1/alpha is wrong in the mean, at a limit of 1/alpha and whatever hangs together (e-BH: Wang & Ramdas,
    J R Stat Soc B 2022;84:822; weights as there in section 4).
    """
    order = sorted(log_weighted, key=lambda key: -log_weighted[key])
    reached = [k for k, key in enumerate(order, 1) if log_weighted[key] >= log_limit - math.log(k)]
    return tuple(order[: max(reached, default=0)])
