"""Streams of studies, many at once: values of ten signals that hang together as they do on a scanner.

Arrays are (streams, studies, signals). Words are numbers here: the place of the word, or a place beyond all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from observability.drift.signals import quantile_edges

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SIGNALS: Final = (
    *("scanner", "kernel", "sex"),
    *("age", "thickness", "rows", "exposure", "noise", "sharpness", "top_score"),
)
WORDS: Final = 3  # the first signals are words
BINS: Final = 9
SCANNERS: Final = np.array([0.5, 0.3, 0.2])
WEEK: Final = 200


@dataclass(frozen=True, slots=True)
class Shift:
    """A part `share` of the studies comes from elsewhere: `moved` says by how many standard deviations a number
    lies off, `other` which words are new."""

    name: str
    share: float
    moved: Mapping[str, float]
    other: tuple[str, ...] = ()


PROJECTION = {"rows": 4.0, "exposure": 3.5, "noise": 1.0}  # about three standard deviations of all studies
SCANNER = {"noise": -1.0, "sharpness": 1.5, "rows": 1.0}
SHIFTS: Final = (
    Shift("another projection, 20 %", 0.20, PROJECTION),
    Shift("another projection, 5 %", 0.05, PROJECTION),
    Shift("a new scanner, 20 %", 0.20, SCANNER, ("scanner", "kernel")),
    Shift("a new scanner, 5 %", 0.05, SCANNER, ("scanner", "kernel")),
    Shift("old patients, 20 %", 0.20, {"age": 1.5}),
    Shift("a sharper kernel, 20 %", 0.20, {"sharpness": 1.5, "noise": 1.0}),
)


def studies(rng: np.random.Generator, streams: int, count: int, c0: float | None = None) -> Floats:
    """Without drift. With `c0` the mix of scanners wavers from each `WEEK` studies to the next."""
    shares = np.broadcast_to(SCANNERS, (streams, count, len(SCANNERS)))
    if c0 is not None:
        weeks = rng.dirichlet(c0 * SCANNERS, size=(streams, -(-count // WEEK)))
        shares = np.repeat(weeks, WEEK, axis=1)[:, :count]
    scanner = (rng.random((streams, count, 1)) > np.cumsum(shares, axis=2)).sum(2)
    values = rng.normal(size=(streams, count, len(SIGNALS)))
    place = {name: values[:, :, index] for index, name in enumerate(SIGNALS)}
    place["rows"] += 1.2 * scanner
    place["noise"] += 0.5 * scanner
    place["exposure"] += 0.6 * place["noise"]
    place["thickness"][:] = np.round(2.0 * place["thickness"]) / 2.0
    place["scanner"][:] = scanner
    place["kernel"][:] = np.where(rng.random(scanner.shape) < 0.8, scanner, 3)
    place["sex"][:] = rng.random(scanner.shape) < 0.5
    return values


def shifted(rng: np.random.Generator, values: Floats, shift: Shift, begins: int) -> Floats:
    """The same studies, a part of them from elsewhere since the study `begins`."""
    found = values.copy()
    comes = rng.random(values.shape[:2]) < shift.share
    comes[:, :begins] = False
    for index, name in enumerate(SIGNALS):
        found[:, :, index] += np.where(comes, shift.moved.get(name, 0.0), 0.0)
        if name in shift.other:
            found[:, :, index] = np.where(comes, float(BINS), found[:, :, index])
    return found


@dataclass(frozen=True, slots=True)
class Bins:
    """How a value becomes one of `BINS` + 2 bins (the last is `missing`, which nothing is here)."""

    edges: tuple[Floats, ...]

    @classmethod
    def of(cls, reference: Floats) -> Bins:
        """The product's own edges from a reference (studies, signals); words are their own bins."""
        words = tuple(np.arange(BINS) + 0.5 for _ in range(WORDS))
        numbers = (np.asarray(quantile_edges(column)) for column in reference[:, WORDS:].T)
        return cls((*words, *numbers))

    def place(self, values: Floats) -> Ints:
        placed = [
            np.searchsorted(edges, values[..., index], side="right") for index, edges in enumerate(self.edges)
        ]
        return np.stack(placed, axis=-1)


def counts_by_block(placed: Ints, block: int) -> Ints:
    """Counts (streams, blocks, signals, bins) of bins (streams, studies, signals)."""
    streams, count, signals = placed.shape
    blocks = count // block
    cut = placed[:, : blocks * block].reshape(streams, blocks, block, signals)
    return np.stack([(cut == place).sum(2) for place in range(BINS + 2)], axis=-1)
