"""What a site's studies looked like when a named person said that this is normal. It never learns by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from core.hash_chain import digest_of
from observability.drift.belief import believed
from observability.drift.counters import Ints, Node, Slice, Tally
from observability.drift.detector import SignalNull, null_of
from observability.drift.signals import SignalSpec

ROOT: Node = ()


@dataclass(frozen=True, slots=True)
class ArmingRule:
    """How much reference a signal needs at a node before its evidence counts.

    Slices, for the wavering of a hospital is fitted from them; studies, so that shares are known to a few per cent.
    """

    least_studies: int = 1_000
    least_slices: int = 8


@dataclass(frozen=True, slots=True)
class Armed:
    """Whether a signal is watched at a node; `reason` says why not, in a clause."""

    null: SignalNull | None
    reason: str = ""


@dataclass(frozen=True)
class Reference:
    """Version `version`, accepted by `accepted_by` at `accepted_at_s`; of slices of `slice_s` seconds.

    What is watched is cut into slices of the same length, for the fitted wavering is that of such slices. A study
    counts for the reference, or is watched, never both: watching begins with the slice `watched_from`, after the
    reference's last. Raises ValueError where that does not hold.
    """

    model: str
    version: int
    accepted_by: str
    accepted_at_s: int
    slice_s: int
    watched_from: Slice
    signals: tuple[SignalSpec, ...]
    tally: Tally

    def __post_init__(self) -> None:
        if self.version < 1 or self.slice_s < 1:
            raise ValueError("versions and the seconds of a slice count from 1")
        if not self.accepted_by.strip():
            raise ValueError("a reference is accepted by a named person")
        if not self.signals or len({signal.name for signal in self.signals}) != len(self.signals):
            raise ValueError("a reference has signals, each of its own name")
        if self.tally.slices and self.tally.slices[-1] >= self.watched_from:
            raise ValueError("a study of the reference cannot be watched, too")

    @cached_property
    def digest(self) -> str:
        """sha256 of all that makes the reference, whatever the order in which its counters came."""
        return digest_of(self._body())

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes of the tree in which a study of the reference lies, the root first."""
        leaves = self.tally.leaves
        return tuple(
            sorted({leaf[:n] for leaf in leaves for n in range(len(leaf) + 1)}, key=lambda n: (len(n), n))
        )

    def signal(self, name: str) -> SignalSpec:
        """Raises KeyError for a signal that the reference has not."""
        return {signal.name: signal for signal in self.signals}[name]

    def armed(self, rule: ArmingRule) -> Mapping[tuple[Node, str], Armed]:
        """What the reference says of each signal at each node, where it says enough."""
        tables = self.tally.tables(self.nodes or (ROOT,), self.signals, self.tally.slices)
        return {key: _armed(counts, rule, self.signal(key[1])) for key, counts in tables.items()}

    def calibrated(self, rule: ArmingRule) -> Reference:
        """With the belief of each signal that its own slices allow at the root; for once, when it is accepted.

        A signal that is not armed there is believed as before. Takes a fraction of a second for each signal.
        """
        armed = replace(self, signals=tuple(replace(one, belief=1.0) for one in self.signals)).armed(rule)
        return replace(self, signals=tuple(self._calibrated(one, armed) for one in self.signals))

    def _calibrated(self, signal: SignalSpec, armed: Mapping[tuple[Node, str], Armed]) -> SignalSpec:
        null = armed[ROOT, signal.name].null
        if null is None:
            return signal
        counts = self.tally.table(ROOT, signal, self.tally.slices)
        return replace(signal, belief=believed(null, counts).belief)

    def followed_by(
        self, tally: Tally, *, accepted_by: str, accepted_at_s: int, watched_from: Slice
    ) -> Reference:
        """The next version: what was watched is accepted as the new normal, by a person."""
        return replace(
            self,
            version=self.version + 1,
            tally=tally,
            accepted_by=accepted_by,
            accepted_at_s=accepted_at_s,
            watched_from=watched_from,
        )

    def _body(self) -> Mapping[str, Any]:
        return {
            "model": self.model,
            "version": self.version,
            "accepted_by": self.accepted_by,
            "accepted_at_s": self.accepted_at_s,
            "slice_s": self.slice_s,
            "watched_from": self.watched_from,
            "signals": [
                [s.name, s.group.value, list(s.edges), list(s.categories), s.unit, *_told_belief(s)]
                for s in self.signals
            ],
            "counts": [
                [list(cell.leaf), cell.signal, cell.slice, cell.bin, count]
                for cell, count in sorted(self.tally.cells.items())
            ],
        }


def _told_belief(signal: SignalSpec) -> list[float]:
    """Nothing where it is whole, so that the digest of a reference from before there were beliefs stays."""
    return [] if signal.belief == 1.0 else [signal.belief]


def _armed(counts: Ints, rule: ArmingRule, signal: SignalSpec) -> Armed:
    studies, slices = int(counts.sum()), int((counts.sum(1) > 0).sum())
    if studies < rule.least_studies:
        return Armed(None, f"{studies} of {rule.least_studies} reference studies")
    if slices < rule.least_slices:
        return Armed(None, f"{slices} of {rule.least_slices} reference slices")
    if not counts[:, :-1].any():
        return Armed(None, "no reference study tells it")
    return Armed(null_of(counts, is_ordered=signal.is_numeric, belief=signal.belief))
