"""Do the routers do what the table says? The version stamps are compared with it, and the split with its weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from canary.routing_table import BASELINE, CHAMPION, RoutingTable
from canary.sample_ratio import RatioVerdict
from canary.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Served:
    """Studies that the data plane gave to an arm under one table, and the version that read them.

    `epoch` is the controller's; `last_assigned_at` is when the last of them was assigned, None if nobody knows.
    """

    generation: int
    arm: str
    version: str
    readings: int
    epoch: int = 0
    last_assigned_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """What a table asks for: the version behind each arm; since when every router has had the time to take it.

    `epoch` is the one in which the table got its generation; later epochs may publish the same table.
    """

    generation: int
    versions: Mapping[str, str]
    epoch: int = 0
    in_force_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class PlaneVerdict:
    """`reason` is the same sentence as long as the finding is; `evidence` may change with each study."""

    verdict: Verdict
    reason: str
    evidence: str = ""


def intent_of(table: RoutingTable, epoch: int = 0, in_force_since: datetime | None = None) -> Intent:
    """While routing is frozen no arm but the champion's may read."""
    champion = {CHAMPION: table.champion.version}
    if table.frozen:
        return Intent(table.generation, champion, epoch, in_force_since)
    arms = {variant.name: variant.version for variant in table.answering.values()}
    versions = {BASELINE: table.champion.version, **arms}
    return Intent(table.generation, versions, epoch, in_force_since)


def verify_data_plane(
    intent: Intent, served: Iterable[Served], ratios: Iterable[RatioVerdict] = ()
) -> PlaneVerdict:
    """Failed when a router goes on with an older table, when another version than intended answered, or when an
    experiment's split is not its weight.

    What was assigned by an older table before the newer one was in force is left out. Without any reading:
    inconclusive.
    """
    readings = tuple(served)
    if any(_is_stale(intent, group) for group in readings):
        return PlaneVerdict(Verdict.FAILED, "a router goes on with an older table than the one in force")
    current = [g for g in readings if g.generation == intent.generation and g.epoch >= intent.epoch]
    mismatched = sorted({s.arm for s in current if intent.versions.get(s.arm) != s.version})
    if mismatched:
        return PlaneVerdict(
            Verdict.FAILED, f"another version than intended answered as {', '.join(mismatched)}"
        )
    skewed = next((ratio for ratio in ratios if ratio.verdict is Verdict.FAILED), None)
    if skewed is not None:
        return PlaneVerdict(Verdict.FAILED, "the split is not the weight", skewed.reason)
    if not current:
        return PlaneVerdict(Verdict.INCONCLUSIVE, "no study has been read under this table yet")
    return PlaneVerdict(Verdict.SUCCESSFUL, f"{sum(s.readings for s in current)} readings match the table")


def _is_stale(intent: Intent, group: Served) -> bool:
    """Whether the group was assigned by an older table after the newer one was in force everywhere."""
    if intent.in_force_since is None or group.last_assigned_at is None:
        return False
    is_older = group.epoch < intent.epoch or group.generation < intent.generation
    return is_older and group.last_assigned_at > intent.in_force_since
