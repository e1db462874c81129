"""How many studies fell into each bin, by slice of time and by leaf of the tree: integers that add up.

A count has no order, so replicas, sites and a nightly recomputation that add theirs in any order have the same table,
and everything that is computed of it has the same bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from observability.drift.signals import SignalSpec, Value

Ints = npt.NDArray[np.int64]
Node = tuple[str, ...]  # (), (site,), (site, scanner), (site, scanner, protocol)
Slice = int


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One counter. `slice` is a number of a span of time, as `slice_of` gives it; `leaf` the study's place."""

    leaf: Node
    signal: str
    slice: Slice
    bin: int


@dataclass(frozen=True, slots=True)
class Observed:
    """What one study is counted by. `values` may lack a signal: that one is missing."""

    leaf: Node
    slice: Slice
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts by cell. A study adds one to one bin of every signal. Raises ValueError for a count below 1."""

    cells: Mapping[Cell, int] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if any(count < 1 for count in self.cells.values()):
            raise ValueError("a counter counts from 1")

    def __add__(self, other: Tally) -> Tally:
        cells = dict(self.cells)
        for cell, count in other.cells.items():
            cells[cell] = cells.get(cell, 0) + count
        return Tally(MappingProxyType(cells))

    @property
    def slices(self) -> tuple[Slice, ...]:
        """The slices in which a study came, in order."""
        return tuple(sorted({cell.slice for cell in self.cells}))

    @property
    def leaves(self) -> tuple[Node, ...]:
        return tuple(sorted({cell.leaf for cell in self.cells}))

    def within(self, first: Slice, last: Slice) -> Tally:
        """The slices from `first` to `last`, both with it."""
        kept = {cell: count for cell, count in self.cells.items() if first <= cell.slice <= last}
        return Tally(MappingProxyType(kept))

    def without(self, nodes: Iterable[Node]) -> Tally:
        """What is left when everything under these nodes is taken out."""
        gone = tuple(nodes)
        kept = {c: n for c, n in self.cells.items() if not any(is_under(c.leaf, node) for node in gone)}
        return Tally(MappingProxyType(kept))

    def table(self, node: Node, signal: SignalSpec, slices: Sequence[Slice]) -> Ints:
        """Counts of shape (slices, bins) of all leaves under the node.

        Raises IndexError for a count in a bin that the signal has not: it was made with other bins.
        """
        return self.tables((node,), (signal,), slices)[node, signal.name]

    def tables(
        self, nodes: Iterable[Node], signals: Iterable[SignalSpec], slices: Sequence[Slice]
    ) -> Mapping[tuple[Node, str], Ints]:
        """`table` for each node and signal, in one pass over the counters."""
        rows = {number: row for row, number in enumerate(slices)}
        wanted = tuple(signals)
        tables = {
            (node, signal.name): np.zeros((len(slices), signal.bins), dtype=np.int64)
            for node in nodes
            for signal in wanted
        }
        for cell, count in self.cells.items():
            if cell.slice in rows:
                for depth in range(len(cell.leaf) + 1):
                    table = tables.get((cell.leaf[:depth], cell.signal))
                    if table is not None:
                        table[rows[cell.slice], cell.bin] += count
        return tables


def counted(signals: Sequence[SignalSpec], studies: Iterable[Observed]) -> Tally:
    """The counters of some studies."""
    cells: dict[Cell, int] = {}
    for study in studies:
        for signal in signals:
            place = signal.bin_of(study.values.get(signal.name))
            cell = Cell(study.leaf, signal.name, study.slice, place)
            cells[cell] = cells.get(cell, 0) + 1
    return Tally(MappingProxyType(cells))


def is_under(leaf: Node, node: Node) -> bool:
    """Whether a leaf is the node or lies below it."""
    return leaf[: len(node)] == node


def slice_of(at_s: int, slice_s: int) -> Slice:
    """The slice of a moment in seconds since the Unix epoch. A slice may be judged once it is over."""
    return at_s // slice_s
