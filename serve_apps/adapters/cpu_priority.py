"""Which processes and threads the kernel runs first when there is more work than cores.

What decides and routes comes first; model replicas and study readers run far behind it, so that neither callers nor a
change of routing wait for forwards. Threads that compute for shadows run only while a core is idle; the kernel takes
the core away within a millisecond when live work wants it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

CONTROL_PLANE: Final = 5  # of all workers of the embedded Ray, for which Ray itself has 15
LOWEST: Final = 19  # of computation: a core that both want goes to the control plane for 96 % of the time


def lower_priority() -> None:
    """Give this process the lowest priority; do nothing where that is not allowed."""
    with suppress(OSError):
        os.nice(LOWEST)  # added to what it has; the kernel goes no lower


def use_idle_scheduling() -> None:
    """Have the kernel run the calling thread on idle cores only (sched(7), SCHED_IDLE); do nothing elsewhere."""
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
