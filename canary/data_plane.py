"""Do the routers do what the table says? The version stamps are compared with it, and the split with its weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from canary.routing_table import BASELINE, CHAMPION, RoutingTable
from canary.sample_ratio import RatioVerdict
from canary.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Served:
    """Studies that the data plane gave to an arm under one table, and the version that read them."""

    generation: int
    arm: str
    version: str
    readings: int


@dataclass(frozen=True, slots=True)
class Intent:
    """What a table asks for: the version behind each arm."""

    generation: int
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PlaneVerdict:
    verdict: Verdict
    reason: str


def intent_of(table: RoutingTable) -> Intent:
    """While routing is frozen no arm but the champion's may read."""
    champion = {CHAMPION: table.champion.version}
    if table.frozen:
        return Intent(table.generation, champion)
    arms = {variant.name: variant.version for variant in table.answering.values()}
    return Intent(table.generation, {BASELINE: table.champion.version, **arms})


def verify_data_plane(
    intent: Intent, served: Iterable[Served], ratios: Iterable[RatioVerdict] = ()
) -> PlaneVerdict:
    """Failed when another version than intended answered, or when an experiment's split is not its weight.

    Readings of other generations are left out: a study keeps the table that it was assigned by. Without any
    reading: inconclusive.
    """
    current = [s for s in served if s.generation == intent.generation]
    mismatched = sorted({s.arm for s in current if intent.versions.get(s.arm) != s.version})
    if mismatched:
        return PlaneVerdict(
            Verdict.FAILED, f"another version than intended answered as {', '.join(mismatched)}"
        )
    skewed = next((ratio for ratio in ratios if ratio.verdict is Verdict.FAILED), None)
    if skewed is not None:
        return PlaneVerdict(Verdict.FAILED, skewed.reason)
    if not current:
        return PlaneVerdict(Verdict.INCONCLUSIVE, "no study has been read under this table yet")
    return PlaneVerdict(Verdict.SUCCESSFUL, f"{sum(s.readings for s in current)} readings match the table")
