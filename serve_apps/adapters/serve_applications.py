"""How many replicas of the versions' applications run, by Serve's own account."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping

from ray import serve

logger = logging.getLogger("serinus.applications")
DEADLINE_S = 2.0


async def without_replica(names: Collection[str]) -> Collection[str]:
    """The applications among `names` that have no running replica; none when Serve does not say."""
    running = await _asked()
    return () if running is None else frozenset(names) - {name for name, number in running.items() if number}


async def running_replicas() -> Mapping[str, int]:
    """How many replicas run of each application; nothing when Serve does not say."""
    return await _asked() or {}


async def _asked() -> Mapping[str, int] | None:
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await asyncio.to_thread(_running_replicas)
    except Exception as error:  # noqa: BLE001 - who asks can do without
        logger.info("applications.unknown", extra={"error": type(error).__name__})
        return None


def _running_replicas() -> dict[str, int]:
    return {
        name: sum(one.replica_states.get("RUNNING", 0) for one in application.deployments.values())
        for name, application in serve.status().applications.items()
    }
