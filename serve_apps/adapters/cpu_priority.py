"""Heavy replicas step back, so that on a full machine decisions and callers are not kept waiting by forwards.

What nobody waits for runs only on cores that are idle: the kernel takes them away within a millisecond when a live
study wants them.
"""

from __future__ import annotations

import os
from contextlib import suppress

BEHIND_THE_CONTROL_PLANE = 4  # Ray runs its workers at 15, and 19 is the last


def lower_priority() -> None:
    """Lower this process's priority; where that is not allowed nothing happens."""
    with suppress(OSError):
        os.nice(BEHIND_THE_CONTROL_PLANE)


def use_idle_scheduling() -> None:
    """Have the calling thread run on idle cores only (sched(7), SCHED_IDLE); elsewhere nothing happens."""
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
