"""Looks every few seconds at which replicas live, and has the books of costs follow, in threads of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from core.errors import SerinusError
from observability.cost.events import CostEvent, Holding, Phase
from observability.cost.items import Item
from observability.cost.observed import LivingReplica, Observed, observed
from serve_apps.application.executors import run_in
from serve_apps.application.messages import ServedVersion
from serve_apps.control.elastic import app_of, with_elastic

logger = logging.getLogger("serinus.costs")
LOOK_INTERVAL_S: Final = 5.0
MIB: Final = 1 << 20


class NotesCosts(Protocol):
    """Takes events and never raises; `flush` writes them."""

    def note(self, events: Iterable[CostEvent]) -> None: ...
    async def flush(self) -> int: ...


@dataclass(frozen=True, slots=True)
class CostWorld:
    """What a look asks. `living` names every actor of the cluster, `leads` asks the ledger, `post` brings hours into
    the books; these three block. `is_warm` says whether an application has answered, `least` how many replicas it
    has whatever there is to read; None where that is not known.
    """

    living: Callable[[], Iterable[str]]
    versions: Callable[[], Mapping[str, ServedVersion]]
    is_warm: Callable[[str], bool]
    has_gpu: Callable[[], bool]
    leads: Callable[[], bool]
    post: Callable[[], int]
    clock_ns: Callable[[], int]
    site: str = ""
    least: Callable[[str], int | None] = lambda _: None


class CostLoop:
    """A controller that does not lead tells nothing, and begins anew when it does."""

    def __init__(self, world: CostWorld, costs: NotesCosts, executor: Executor | None = None) -> None:
        self._world = world
        self._costs = costs
        self._executor = executor or ThreadPoolExecutor(1, "costs")
        self._seen = Observed()

    async def run_forever(self) -> None:
        while True:
            await self.once()
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def once(self) -> None:
        """One look; what fails is made up for by the next, which tells of the time since."""
        world = self._world
        try:
            if not await run_in(self._executor, world.leads):
                self._seen = Observed()
                return
            names = await run_in(self._executor, world.living)
            versions, has_gpu = world.versions(), world.has_gpu()
            found = living_replicas(names, versions, world.is_warm, has_gpu=has_gpu, site=world.site)
            living = with_elastic(found, self._seen, lambda one: self._least(one, versions))
            self._seen, paid = observed(self._seen, living, world.clock_ns())
            self._costs.note(paid)
            await self._costs.flush()
            await run_in(self._executor, world.post)
        except SerinusError as error:
            logger.warning("costs.not_looked", extra={"error": error.code})
        except Exception as error:
            logger.exception("costs.not_looked", extra={"error": type(error).__name__})

    def _least(self, app_name: str, versions: Mapping[str, ServedVersion]) -> int:
        least = self._world.least(app_name)
        return versions[app_name].resources.min_replicas if least is None else least

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


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
