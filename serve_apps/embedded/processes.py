"""Finding and ending exactly the processes that one stack started.

Every process of a stack inherits `SERINUS_STACK_ID`, and so do their children: uvicorn under MLflow's command,
Ray workers, Serve's HAProxy. Whoever carries our id in its environment is ours, however orphaned.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from registry.process_group import marked

STACK_ID = "SERINUS_STACK_ID"
GRACE_S = 8.0


def owned_processes(stack_id: str) -> tuple[int, ...]:
    """Process ids that carry `stack_id`, oldest first; never this process."""
    return tuple(pid for pid in marked(STACK_ID, stack_id) if pid != os.getpid())


def end_processes(stack_id: str, first: Sequence[int] = ()) -> int:
    """Terminate the stack: the leaders `first`, then all that is left. Returns how many.

    `first` are the leaders that stop their own children in order (`ray start --block`, MLflow's server).
    """
    ended = set(owned_processes(stack_id))
    leaders = [pid for pid in first if pid in ended]
    for leader in leaders:
        _signal(leader, signal.SIGTERM)
    if leaders:
        _wait_gone(stack_id, GRACE_S)
    for pid in owned_processes(stack_id):
        _signal(pid, signal.SIGTERM)
    _wait_gone(stack_id, GRACE_S / 4)
    while remaining := owned_processes(stack_id):
        ended.update(remaining)
        for pid in remaining:
            _signal(pid, signal.SIGKILL)
        time.sleep(0.05)
    return len(ended)


def _wait_gone(stack_id: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while owned_processes(stack_id) and time.monotonic() < deadline:
        time.sleep(0.1)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
