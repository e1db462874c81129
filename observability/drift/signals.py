"""What is watched of a study: one value, put into one of a few fixed bins, so that evidence needs counts alone."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

import numpy as np

MISSING: Final = "missing"
OTHER: Final = "other"
QUANTILES: Final = (0.01, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 0.99)
LONGEST_WORD: Final = 32
Value = float | str | None
_NO_WORD: Final = re.compile(r"[^A-Z0-9]+")


class SignalGroup(StrEnum):
    """What a signal speaks of; an alarm names it, since each has another remedy."""

    ACQUISITION = "acquisition"
    POPULATION = "population"
    PIXELS = "pixels"
    SCORES = "scores"
    OUTCOME = "outcome"


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """A signal with its bins: `edges` of a number in `unit`, or the named `categories` of a word; never both.

    A number falls between two edges, its lower one included, or beyond the outer ones. A word that no category names
    is `other`; what a study does not tell is `missing`, which is a signal, too. `missing` is the last bin. Bins are
    part of a reference: other edges make another signal. So is `belief`, how far evidence of one slice counts.

    >>> age = SignalSpec("age", SignalGroup.POPULATION, edges=(40.0, 60.0), unit="years")
    >>> age.labels
    ('< 40 years', '40 to 60 years', '≥ 60 years', 'missing')
    >>> age.labels[age.bin_of(60)], age.labels[age.bin_of(None)]
    ('≥ 60 years', 'missing')
    """

    name: str
    group: SignalGroup
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    unit: str = ""
    belief: float = 1.0

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a signal has a name")
        if not 0.0 < self.belief <= 1.0:
            raise ValueError(f"the belief of {self.name} lies in (0, 1]")
        if bool(self.edges) == bool(self.categories):
            raise ValueError(f"{self.name} has either edges or categories")
        if not all(map(math.isfinite, self.edges)) or list(self.edges) != sorted(set(self.edges)):
            raise ValueError(f"the edges of {self.name} are finite and rise")
        if len(set(self.categories) | {MISSING, OTHER}) != len(self.categories) + 2:
            raise ValueError(f"the categories of {self.name} differ, and none is `missing` or `other`")

    @property
    def is_numeric(self) -> bool:
        return bool(self.edges)

    @property
    def bins(self) -> int:
        return len(self.edges) + 2 if self.edges else len(self.categories) + 2

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each bin."""
        if not self.edges:
            return (*self.categories, OTHER, MISSING)
        unit = f" {self.unit}" if self.unit else ""
        texts = [f"{edge:g}" for edge in self.edges]
        between = [f"{low} to {high}{unit}" for low, high in pairwise(texts)]
        return (f"< {texts[0]}{unit}", *between, f"≥ {texts[-1]}{unit}", MISSING)

    def bin_of(self, value: Value) -> int:
        """The bin of a study's value; NaN and the empty word are missing. Raises TypeError for the wrong kind."""
        if value is None or value == "" or value != value:
            return self.bins - 1
        if isinstance(value, str) == self.is_numeric:
            raise TypeError(f"{self.name} takes {'a number' if self.is_numeric else 'a word'}")
        if isinstance(value, str):
            return self.categories.index(value) if value in self.categories else len(self.categories)
        return bisect_right(self.edges, value)


def quantile_edges(values: Iterable[float], quantiles: Sequence[float] = QUANTILES) -> tuple[float, ...]:
    """Edges at quantiles of the reference's values; fewer where values repeat, none without a value.

    The default puts one study in a hundred into each outer bin: what comes from elsewhere often lies beyond nearly
    all that is known, and is found sooner in a bin that was nearly empty.
    """
    known = [value for value in values if math.isfinite(value)]
    return tuple(sorted({float(cut) for cut in np.quantile(known, quantiles)})) if known else ()


def frequent_categories(values: Sequence[str], most: int = 9) -> tuple[str, ...]:
    """The `most` frequent words of the reference, by their name where they are as frequent."""
    return most_counted({word: values.count(word) for word in set(values)}, most)


def most_counted(counts: Mapping[str, int], most: int = 9, least: int = 1) -> tuple[str, ...]:
    """The `most` frequent words that `least` studies or more told."""
    told = {w: n for w, n in counts.items() if n >= least and w not in ("", MISSING, OTHER)}
    return tuple(sorted(told, key=lambda word: (-told[word], word))[:most])


def word_of(text: str) -> str:
    """A header's text as a word that can be counted: capitals and digits, 32 at most.

    >>> word_of(" Somatom Definition_AS+ "), word_of("H31s\\\\3")
    ('SOMATOM DEFINITION AS', 'H31S 3')
    """
    return _NO_WORD.sub(" ", text.upper()).strip()[:LONGEST_WORD].strip()
