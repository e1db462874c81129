"""All sequences of a few outcomes, each with its probability: what an expectation is exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from typing import TypeVar

T = TypeVar("T")
S = TypeVar("S")
Law = Sequence[tuple[T, float]]  # outcomes and their probabilities


def sequences(laws: Sequence[Law[T]]) -> Iterator[tuple[tuple[T, ...], float]]:
    """One law per step."""
    for chosen in product(*laws):
        yield tuple(outcome for outcome, _ in chosen), prod(p for _, p in chosen)


def expected_e(
    laws: Sequence[Law[T]], start: S, step: Callable[[S, T, int], S], log10_e: Callable[[S], float]
) -> float:
    """The mean of the e-value when the process stops at once above 1.2, and else after the last step."""
    total = 0.0
    for outcomes, probability in sequences(laws):
        state = start
        for index, outcome in enumerate(outcomes):
            state = step(state, outcome, index)
            if log10_e(state) > 0.08:
                break
        total += probability * 10 ** log10_e(state)
    return total
