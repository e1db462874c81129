"""Whether Serve has begun to replace this replica. Serve tells a deployment only at the end, by its destructor."""

from __future__ import annotations

from typing import Any

import ray


def is_draining() -> bool:
    """Read from Serve's own replica object (ray/serve/_private/replica.py, `_shutting_down`, Ray 2.60).

    False where that cannot be found: Serve waits for running requests all the same, only queued ones wait with them.
    """
    worker: Any = ray._private.worker.global_worker
    try:
        replica = worker.actors[worker.actor_id]._replica_impl
    except (AttributeError, KeyError):
        return False
    return bool(getattr(replica, "_shutting_down", False))
