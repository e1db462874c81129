"""From looks at which replicas live to the times that are paid for them.

Level-triggered: a look tells what is there now, and a replica is paid from one look to the next. One that came or
went between two looks is paid up to a look's distance less or more than it lived; no moment is ever paid twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from observability.cost.events import MAX_SPAN_NS, Holding, PaidTime, Phase


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


@dataclass(frozen=True, slots=True)
class Observed:
    """What the last look found, and when; None before the first."""

    at_ns: int | None = None
    replicas: Mapping[str, LivingReplica] | None = None


def observed(
    last: Observed, living: Mapping[str, LivingReplica], at_ns: int
) -> tuple[Observed, list[PaidTime]]:
    """What is known after this look, and what it says was paid since the last one.

    A look that comes so late that the controller was away for more than `MAX_SPAN_NS` begins anew. The clock of
    another controller may be behind: then nothing is paid, until it has caught up.
    """
    if last.at_ns is None or last.replicas is None or at_ns - last.at_ns > MAX_SPAN_NS:
        return Observed(at_ns, living), []
    if at_ns <= last.at_ns:
        return last, []
    return Observed(at_ns, living), list(_paid(last.replicas, living, last.at_ns, at_ns))


def _paid(
    former: Mapping[str, LivingReplica], living: Mapping[str, LivingReplica], start_ns: int, end_ns: int
) -> Iterator[PaidTime]:
    """A replica that was there at the last look is paid until this one, as it was then; gone, it drained."""
    for name in sorted(former):
        was = former[name]
        is_gone = name not in living
        yield PaidTime(
            f"{name}@{start_ns}"[-96:],
            name,
            start_ns,
            end_ns,
            was.holds,
            Phase.DRAIN if is_gone and was.phase is Phase.SERVE else was.phase,
            was.model,
            was.version,
            was.site,
            was.is_elastic,
        )
