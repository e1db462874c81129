"""A replica knows what it holds itself, and is unwell when that is more than its version may."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from serve_apps.adapters.memory_watcher import held_bytes
from serve_apps.deployments.model_server import ModelServer

MIB = 1 << 20


class WellReplica:
    """Stands for a `ModelReplica` that computes."""

    async def check_health(self) -> None:
        return None

    def close(self) -> None:
        return None


def server(memory_bytes: int) -> Any:
    deployment: Any = ModelServer
    made = object.__new__(deployment.func_or_class)
    made._memory_bytes, made._replica = memory_bytes, WellReplica()
    return made


def test_what_is_allocated_is_counted() -> None:
    before = held_bytes(os.getpid())
    held = np.ones(64 * MIB, np.uint8)
    assert held_bytes(os.getpid()) - before > 60 * MIB
    del held


async def test_a_replica_is_unwell_above_its_limit_only() -> None:
    await server(held_bytes(os.getpid()) + 256 * MIB).check_health()
    await server(0).check_health()
    with pytest.raises(RuntimeError, match="memory"):
        await server(held_bytes(os.getpid()) - 8 * MIB).check_health()
