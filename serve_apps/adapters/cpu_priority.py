"""Which processes and threads the kernel runs first when there is more work than cores.

Model replicas and study readers run behind the control plane, so that routing and callers are not delayed by
forwards. Threads that compute for shadows run only while a core is idle; the kernel takes the core away within a
millisecond when live work wants it.
"""

from __future__ import annotations

import os
from contextlib import suppress

BEHIND_THE_CONTROL_PLANE = 4  # added to the 15 at which Ray starts its workers; 19 is the lowest priority


def lower_priority() -> None:
    """Lower the priority of this process below the control plane's; do nothing where that is not allowed."""
    with suppress(OSError):
        os.nice(BEHIND_THE_CONTROL_PLANE)


def use_idle_scheduling() -> None:
    """Have the kernel run the calling thread on idle cores only (sched(7), SCHED_IDLE); do nothing elsewhere."""
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
