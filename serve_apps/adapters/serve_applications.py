"""Which of the versions' applications have a replica that runs, by Serve's own account."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from ray import serve

logger = logging.getLogger("serinus.applications")
DEADLINE_S = 2.0


async def without_replica(names: Collection[str]) -> Collection[str]:
    """The applications among `names` that have no running replica; none when Serve does not say."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await asyncio.to_thread(_without_replica, frozenset(names))
    except Exception as error:  # noqa: BLE001 - it only decides about readiness, and the controller tells later
        logger.info("applications.unknown", extra={"error": type(error).__name__})
        return ()


def _without_replica(names: frozenset[str]) -> frozenset[str]:
    running = {
        name
        for name, application in serve.status().applications.items()
        if any(one.replica_states.get("RUNNING", 0) for one in application.deployments.values())
    }
    return names - running
