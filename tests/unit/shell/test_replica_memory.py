"""A replica knows what it holds itself, and is unwell when that is more than its version may."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serve_apps.deployments.model_server import ModelServer, own_memory_bytes

MIB = 1 << 20


def replica(memory_bytes: int) -> Any:
    deployment: Any = ModelServer
    made = object.__new__(deployment.func_or_class)
    made._memory_bytes = memory_bytes
    return made


def test_what_is_allocated_is_counted() -> None:
    before = own_memory_bytes()
    held = np.ones(64 * MIB, np.uint8)
    assert own_memory_bytes() - before > 60 * MIB
    del held


def test_a_replica_is_unwell_above_its_limit_only() -> None:
    replica(own_memory_bytes() + 256 * MIB).check_health()
    replica(0).check_health()
    with pytest.raises(RuntimeError, match="memory"):
        replica(own_memory_bytes() - 8 * MIB).check_health()
