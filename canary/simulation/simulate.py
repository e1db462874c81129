"""Many runs of one plan, and what they come to: how often it is promoted, when, at which cost, and why not."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from canary.rollout.plan import RolloutPlan
from canary.rollout.step_told import step_in_words
from canary.simulation.assumptions import Assumptions
from canary.simulation.walk import Ending, Horizon, Walk, walk

MOST_REASONS: Final = 5
_NUMBERS: Final = re.compile(r"-?\d[\d.,:]*")


@dataclass(frozen=True, slots=True)
class Spread:
    """The median and the 90th percentile; None of nothing."""

    median: float | None
    p90: float | None


@dataclass(frozen=True, slots=True)
class StepReached:
    """How many of the runs did the step, and after how many days those that did."""

    number: int
    told: str
    share: float
    days: Spread


@dataclass(frozen=True, slots=True)
class Reason:
    """Why runs ended so: `share` of all runs, with the sentence of the first of them."""

    ending: Ending
    share: float
    example: str


@dataclass(frozen=True, slots=True)
class Simulated:
    """What many runs of a plan came to. `days_to_promotion` is of those that were promoted, the rest of all runs."""

    runs: int
    shares: dict[Ending, float]
    steps: tuple[StepReached, ...]
    days_to_promotion: Spread
    exposed: Spread
    adverse: Spread
    reasons: tuple[Reason, ...]


def simulate(
    plan: RolloutPlan, assumptions: Assumptions, horizon: Horizon, *, runs: int, seed: int
) -> Simulated:
    """Walk the plan so many times. The same arguments give the same result; run n is the same whatever `runs` is."""
    return summed(
        plan, [walk(plan, assumptions, horizon, np.random.default_rng([seed, n])) for n in range(runs)]
    )


def summed(plan: RolloutPlan, walks: Sequence[Walk]) -> Simulated:
    """What the walks come to; ValueError without any."""
    if not walks:
        raise ValueError("a simulation has one run at least")
    runs = len(walks)
    endings = Counter(one.ending for one in walks)
    return Simulated(
        runs=runs,
        shares={ending: endings[ending] / runs for ending in Ending},
        steps=tuple(_reached(plan, number, walks) for number in range(len(plan.steps))),
        days_to_promotion=spread(one.promoted for one in walks),
        exposed=spread(one.exposed for one in walks),
        adverse=spread(one.adverse for one in walks),
        reasons=_reasons(walks),
    )


def spread(values: Iterable[float]) -> Spread:
    """Of the finite ones; each is one that really came, the higher one between two."""
    finite = [one for one in values if math.isfinite(one)]
    if not finite:
        return Spread(None, None)
    median, p90 = np.quantile(finite, (0.5, 0.9), method="higher")
    return Spread(float(median), float(p90))


def _reached(plan: RolloutPlan, number: int, walks: Sequence[Walk]) -> StepReached:
    days = [one.reached[number] for one in walks]
    share = sum(map(math.isfinite, days)) / len(walks)
    return StepReached(number, step_in_words(plan.steps[number]), share, spread(days))


def _reasons(walks: Sequence[Walk]) -> tuple[Reason, ...]:
    """The most frequent ones first; sentences that differ in numbers only are the same reason."""
    counted: Counter[tuple[Ending, str]] = Counter()
    first: dict[tuple[Ending, str], str] = {}
    for one in walks:
        kind = one.ending, _NUMBERS.sub("#", one.reason)
        counted[kind] += 1
        first.setdefault(kind, one.reason)
    frequent = counted.most_common(MOST_REASONS)
    return tuple(Reason(kind[0], number / len(walks), first[kind]) for kind, number in frequent)
