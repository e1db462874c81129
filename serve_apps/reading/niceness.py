"""Heavy replicas step back, so that on a full machine decisions and callers are not kept waiting by forwards."""

from __future__ import annotations

import os
from contextlib import suppress

BEHIND_THE_CONTROL_PLANE = 4  # Ray runs its workers at 15, and 19 is the last


def step_back() -> None:
    """Lower this process's priority; where that is not allowed nothing happens."""
    with suppress(OSError):
        os.nice(BEHIND_THE_CONTROL_PLANE)
