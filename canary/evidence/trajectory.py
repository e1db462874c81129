"""How the evidence on a metric came to be: its e-values after each observation, not only after the last one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from canary.evidence.metric import PLANNED, Hypothesis, MetricSpec, MetricState
from canary.evidence.metric_state import harm_log10_e, update
from canary.evidence.observations import Observation


class Point(NamedTuple):
    """log10 of an e-value once so many observations were taken in."""

    observations: int
    log10_e: float


Series = tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """The e-values of one metric in the order of its observations, from an e-value of 1 before the first one.

    `harm` is what is judged: in all and in each stratum. A stratum's series begins with its first study and holds
    the studies of that stratum only. A planned metric has no e-value and therefore no series.
    """

    observations: int
    harm: Series = ()
    non_inferiority: Series = ()
    strata: tuple[tuple[str, Series], ...] = ()


@dataclass(frozen=True, slots=True)
class Replayed:
    """A metric as it was computed once more. `agrees` says whether it came by the state that is kept, to the last
    bit; None where none is kept.
    """

    trajectory: Trajectory
    state: MetricState
    agrees: bool | None


def accumulate(
    spec: MetricSpec, state: MetricState, observations: Iterable[Observation]
) -> Iterator[MetricState]:
    """The state as it is, and after each observation that moved it; the last one is what `update_all` gives."""
    yield state
    for observation in observations:
        after = update(spec, state, observation)
        if after is not state:
            state = after
            yield state


def replay(
    spec: MetricSpec, state: MetricState, observations: Iterable[Observation], kept: MetricState | None
) -> Replayed:
    """The trajectory up to the state that is kept: what came after the last look decided nothing.

    Where the kept state is never met, since rows were changed or are gone, the trajectory is of all observations.
    """
    harm: list[Point] = []
    shown: list[Point] = []
    strata: dict[str, list[Point]] = {}
    number, has_e_value = 0, spec.kind not in PLANNED
    before, found = state, state
    for number, found in enumerate(accumulate(spec, state, observations)):
        if has_e_value:
            harm.append(Point(number, harm_log10_e(spec, found)))
            shown.append(Point(number, found.overall.non_inferiority.log10_e))
            for name, log10_e in _moved_strata(before, found):
                strata.setdefault(name, []).append(Point(number, log10_e))
        before = found
        if kept is not None and found.overall.observed == kept.overall.observed and found == kept:
            break
    asks = spec.hypothesis is Hypothesis.NON_INFERIORITY
    trajectory = Trajectory(
        observations=number,
        harm=tuple(harm),
        non_inferiority=tuple(shown) if asks else (),
        strata=tuple((name, tuple(points)) for name, points in strata.items()),
    )
    return Replayed(trajectory, found, None if kept is None else found == kept)


def first_crossing(series: Iterable[Point], limit: float) -> int | None:
    """After how many observations an e-value first reached its limit (log10); None if it never did."""
    return next((point.observations for point in series if point.log10_e >= limit), None)


def _moved_strata(before: MetricState, after: MetricState) -> Iterator[tuple[str, float]]:
    earlier = dict(before.strata)
    for name, seen in after.strata:
        if earlier.get(name) is not seen:
            yield name, seen.harm.log10_e
