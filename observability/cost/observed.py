"""From looks at which replicas live to the times that are paid for them.

Level-triggered: a look tells what is there now. A replica is paid from the look that found it first, and told of when
it has changed or is gone, and else once a minute, so that a controller that is killed takes a minute with it at most.
One that came or went between two looks is paid up to a look's distance less or more than it lived.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from observability.cost.events import MAX_SPAN_NS, Holding, PaidTime, Phase

EVERY_NS: Final = 60 * 10**9


@dataclass(frozen=True, slots=True)
class LivingReplica:
    """A replica as one look finds it."""

    replica: str
    holds: tuple[Holding, ...]
    phase: Phase = Phase.SERVE
    model: str = ""
    version: str = ""
    site: str = ""
    is_elastic: bool = False
    deployment: str = ""


class Untold(NamedTuple):
    """A replica that is there as it was found at `since_ns`, of which nothing was told since."""

    replica: LivingReplica
    since_ns: int


@dataclass(frozen=True, slots=True)
class Observed:
    """What the last look found, and when; None before the first."""

    at_ns: int | None = None
    replicas: Mapping[str, Untold] = field(default_factory=dict)


def observed(
    last: Observed, living: Mapping[str, LivingReplica], at_ns: int, every_ns: int = EVERY_NS
) -> tuple[Observed, tuple[PaidTime, ...]]:
    """What is known after this look, and what there is to tell. `living` is by the name of the replica.

    A look that comes more than `MAX_SPAN_NS` after the last begins anew. One that is earlier than the last, as of a
    clock that was set back, tells nothing.
    """
    if last.at_ns is not None and at_ns <= last.at_ns:
        return last, ()
    if last.at_ns is None or at_ns - last.at_ns > MAX_SPAN_NS:
        return Observed(at_ns, {name: Untold(one, at_ns) for name, one in living.items()}), ()
    told = {
        name: was
        for name, was in last.replicas.items()
        if living.get(name) != was.replica or at_ns - was.since_ns >= every_ns
    }
    kept = {name: was for name, was in last.replicas.items() if name not in told}
    known = {name: kept.get(name, Untold(one, at_ns)) for name, one in living.items()}
    paid = tuple(_paid(told[name], at_ns, is_gone=name not in living) for name in sorted(told))
    return Observed(at_ns, known), paid


def _paid(was: Untold, end_ns: int, *, is_gone: bool) -> PaidTime:
    """Of one that is gone, what no study used was its way out."""
    one = was.replica
    return PaidTime(
        f"{one.replica}@{was.since_ns}"[-96:],
        one.replica,
        was.since_ns,
        end_ns,
        one.holds,
        Phase.DRAIN if is_gone and one.phase is Phase.SERVE else one.phase,
        one.model,
        one.version,
        one.site,
        one.is_elastic,
        one.deployment,
    )
