"""Looks every few seconds at which replicas live, tells the books what is paid for them, and has hours posted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from observability.cost.events import CostEvent, Holding, Phase
from observability.cost.items import Item
from observability.cost.observed import LivingReplica, Observed, observed
from serve_apps.application.messages import RESERVED_PREFIX, ServedVersion
from serve_apps.control.elastic import app_of, with_elastic

_REPLICA: Final = re.compile(r".*SERVE_REPLICA::(?P<app>[^#]+)#(?P<deployment>[^#]+)#[^#]+")
MIB: Final = 1 << 20
CPU: Final = "CPU"  # as Ray names what a replica reserves
GPU: Final = "GPU"
MEMORY: Final = "memory"  # in bytes


class CostRows(Protocol):
    """Keeps events, each once. Raises LedgerUnavailable."""

    def add(self, events: Sequence[CostEvent]) -> int: ...


@dataclass(frozen=True, slots=True)
class CostWorld:
    """What a look asks; all of it may block.

    `living` names every actor of the cluster, `leads` asks the ledger, `post` brings hours into the books. `is_warm`
    says whether an application has answered. `reserved` says what a replica of another deployment reserves, by
    application and name, as Ray names it, and raises KeyError for one that is gone. `least` says how many replicas an
    application of a version has whatever there is to read; None where that is not known.
    """

    living: Callable[[], Iterable[str]]
    versions: Callable[[], Mapping[str, ServedVersion]]
    is_warm: Callable[[str], bool]
    has_gpu: Callable[[], bool]
    reserved: Callable[[str, str], Mapping[str, float]]
    leads: Callable[[], bool]
    post: Callable[[], int]
    clock_ns: Callable[[], int]
    site: str = ""
    least: Callable[[str], int | None] = lambda _: None


class CostLooks:
    """A controller that does not lead tells nothing, and begins anew when it does."""

    def __init__(self, world: CostWorld, rows: CostRows) -> None:
        self._world = world
        self._rows = rows
        self._seen = Observed()
        self._platform: dict[str, LivingReplica] = {}

    def look(self) -> None:
        """One look. Of one that fails nothing is remembered, so that the next tells of the time since."""
        world = self._world
        if not world.leads():
            self._seen = Observed()
            return
        names, versions = tuple(world.living()), world.versions()
        found = living_replicas(names, versions, world.is_warm, has_gpu=world.has_gpu(), site=world.site)
        living = with_elastic(found, self._seen, lambda app: self._least(app, versions))
        living |= self._of_the_platform(name for name in names if name not in living)
        seen, paid = observed(self._seen, living, world.clock_ns())
        self._rows.add(paid)
        self._seen = seen
        world.post()

    def _least(self, app_name: str, versions: Mapping[str, ServedVersion]) -> int:
        least = self._world.least(app_name)
        return versions[app_name].resources.min_replicas if least is None else least

    def _of_the_platform(self, names: Iterable[str]) -> dict[str, LivingReplica]:
        """The replicas of other deployments than the versions'; what one reserves is asked once."""
        known, self._platform = self._platform, {}
        for name in names:
            replica = _REPLICA.fullmatch(name)
            if replica is None or replica["app"].startswith(RESERVED_PREFIX):
                continue
            try:
                self._platform[name] = known.get(name) or self._asked(name, **replica.groupdict())
            except KeyError:  # it is on its way out
                continue
        return {name: one for name, one in self._platform.items() if one.holds}

    def _asked(self, name: str, app: str, deployment: str) -> LivingReplica:
        holds = reserved_holdings(self._world.reserved(app, deployment))
        return LivingReplica(name, holds, site=self._world.site, deployment=deployment)


def living_replicas(
    names: Iterable[str],
    versions: Mapping[str, ServedVersion],
    is_warm: Callable[[str], bool],
    *,
    has_gpu: bool,
    site: str,
) -> dict[str, LivingReplica]:
    """The replicas of versions among the names of actors, `<session>/SERVE_REPLICA::<app>#<deployment>#<id>`.

    An application loads until it has answered. Replicas of a version that is not known here are not billed.
    """
    found: dict[str, LivingReplica] = {}
    for name in names:
        version = versions.get(app_of(name))
        if version is None:
            continue
        found[name] = LivingReplica(
            name,
            holdings(version, has_gpu=has_gpu),
            Phase.SERVE if is_warm(version.app_name) else Phase.LOAD,
            version.model,
            version.version,
            site,
        )
    return found


def holdings(version: ServedVersion, *, has_gpu: bool) -> tuple[Holding, ...]:
    """What one replica of the version reserves."""
    asked = version.resources
    amounts = {
        Item.CPU_CORE: round(asked.num_cpus * 1000),
        Item.GPU: round(asked.num_gpus * 1000) if has_gpu else 0,
        Item.RAM_GIB: (asked.memory_bytes or 0) // MIB,
    }
    return tuple(Holding(item, amount) for item, amount in amounts.items() if amount)


def reserved_holdings(reserved: Mapping[str, float]) -> tuple[Holding, ...]:
    """What a replica reserves by Ray's names."""
    amounts = {
        Item.CPU_CORE: round(reserved.get(CPU, 0) * 1000),
        Item.GPU: round(reserved.get(GPU, 0) * 1000),
        Item.RAM_GIB: round(reserved.get(MEMORY, 0)) // MIB,
    }
    return tuple(Holding(item, amount) for item, amount in amounts.items() if amount)
