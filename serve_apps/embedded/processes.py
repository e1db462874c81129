"""Finding and ending exactly the processes that one stack started.

Every process of a stack inherits `SERINUS_STACK_ID`, and so do their children: uvicorn under MLflow's command,
Ray workers, Serve's HAProxy. Whoever carries the stack's id in its environment belongs to it, however orphaned.
"""

from __future__ import annotations

from collections.abc import Sequence

from registry.process_group import Ended, MarkedProcesses, end_marked, marked

STACK_ID = "SERINUS_STACK_ID"


def owned_processes(stack_id: str) -> tuple[int, ...]:
    """Process ids that belong to the stack, oldest first; never this process."""
    return marked(STACK_ID, stack_id)


def end_processes(stack_id: str, leaders: Sequence[int] = ()) -> Ended:
    """End the stack: the leaders, which stop their own children in order, then all that is left.

    Bounded: what cannot be ended (a process in uninterruptible sleep) stands in `remaining`.
    """
    return end_marked(MarkedProcesses(STACK_ID, stack_id), leaders=leaders)
