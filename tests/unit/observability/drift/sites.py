"""A small site: a score and a spacing by slice, on one scanner or two, as counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from observability.drift.counters import Cell, Node, Tally
from observability.drift.reference import Reference
from observability.drift.signals import SignalGroup, SignalSpec

SPACING = SignalSpec("spacing", SignalGroup.ACQUISITION, edges=(1.0, 2.0, 3.0, 4.0), unit="mm")
SCORE = SignalSpec("score", SignalGroup.SCORES, edges=(0.25, 0.5, 0.75))
SHARES: Mapping[str, Sequence[float]] = {
    "spacing": (0.1, 0.4, 0.4, 0.06, 0.03, 0.01),
    "score": (0.6, 0.2, 0.1, 0.09, 0.01),
}
MOVED: Mapping[str, Sequence[float]] = {**SHARES, "spacing": (0.1, 0.2, 0.3, 0.1, 0.29, 0.01)}
SCANNER_A, SCANNER_B = ("north", "a"), ("north", "b")
BEGINS = 1_000


def drawn(
    rng: np.random.Generator,
    slices: range,
    shares: Mapping[str, Sequence[float]] = SHARES,
    leaf: Node = SCANNER_A,
    studies: int = 50,
) -> Tally:
    cells = {}
    for name, share in shares.items():
        for number in slices:
            for place, count in enumerate(rng.multinomial(studies, share)):
                if count:
                    cells[Cell(leaf, name, number, place)] = int(count)
    return Tally(MappingProxyType(cells))


def reference_of(tally: Tally, accepted_by: str = "Dr. Reader") -> Reference:
    return Reference("ich-triage", 1, accepted_by, 0, 86_400, BEGINS, (SPACING, SCORE), tally)


def known_site(rng: np.random.Generator, leaves: Sequence[Node] = (SCANNER_A,)) -> Reference:
    tally = Tally()
    for leaf in leaves:
        tally += drawn(rng, range(40), leaf=leaf)
    return reference_of(tally)
