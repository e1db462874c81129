"""How far the evidence of one slice is believed, found from the reference's own slices when a person accepts it.

A detector that takes slices for independent draws of one Dirichlet says too much where a mix of devices stays for
weeks and moves bins together. So the reference is watched against itself: its slices, in blocks and in a new order,
hold no drift, and under them the mean of M may not exceed the number of slices. Where it does, each slice's
likelihood ratio is raised to a power below 1. Where the model holds, a power of an e-value is an e-value (Jensen), so
a belief below 1 can only make an alarm rarer in the mean.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np

from observability.drift.counters import Ints
from observability.drift.detector import SignalNull, watched

HALVINGS: Final = 8  # the least belief is 1/256
STREAMS: Final = 16
BLOCK_SLICES: Final = 8
BLOCKS: Final = 13  # 104 slices
_SEED: Final = 2024


def believed(null: SignalNull, reference: Ints) -> SignalNull:
    """The null of the reference's counts (slices, bins) with the largest belief 1, 1/2, 1/4, … at which the reference
    does not alarm against itself. The same counts give the same belief.
    """
    drawn = reference[_own_slices(len(reference))]
    few, many = 0, HALVINGS
    if _keeps_promise(null, drawn):
        return null
    while many - few > 1:
        middle = (few + many) // 2
        if _keeps_promise(replace(null, belief=0.5**middle), drawn):
            many = middle
        else:
            few = middle
    return replace(null, belief=0.5**many)


def _keeps_promise(null: SignalNull, drawn: Ints) -> bool:
    """Whether the mean of M over the streams stays below the slices that were watched, once a block is over."""
    log_m = watched(null, drawn).log_m
    mean = np.logaddexp.reduce(log_m, axis=0) - math.log(len(log_m))
    excess = mean - np.log(np.arange(1, len(mean) + 1))
    return bool((excess[BLOCK_SLICES - 1 :] <= 0.0).all())


def _own_slices(slices: int) -> Ints:
    """Places (streams, slices) in the reference: blocks of neighbours, drawn with a fixed seed."""
    length = min(BLOCK_SLICES, slices)
    starts = np.random.default_rng(_SEED).integers(0, slices - length + 1, (STREAMS, BLOCKS))
    places: Ints = (starts[..., None] + np.arange(length)).reshape(STREAMS, -1)
    return places
