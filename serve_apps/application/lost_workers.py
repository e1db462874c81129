"""Ends the leases of workers that the cluster knows to be gone, so that nobody waits for those leases to run out.

A worker that is taken for gone and is not has lost a study's work and no more: its token fences it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from typing import Protocol

from serve_apps.application.executors import run_in

logger = logging.getLogger("serinus.jobs")


class HeldLeases(Protocol):
    """Whose jobs run, in the ledger."""

    def holders(self) -> frozenset[str]: ...

    def end_leases_of(self, worker: str) -> int: ...


class LostWorkers:
    """Compares who holds jobs with who lives. `own` is this worker; a name begins with its cluster's, and a `/`."""

    def __init__(
        self, own: str, leases: HeldLeases, living: Callable[[], Collection[str]], ledger: Executor
    ) -> None:
        self._own = own
        self._leases = leases
        self._living = living
        self._ledger = ledger

    async def look(self) -> None:
        """End what gone workers of this cluster hold; of another cluster's workers nothing is known here."""
        holders = await run_in(self._ledger, self._leases.holders)
        cluster = self._own.partition("/")[0] + "/"
        others = {worker for worker in holders if worker.startswith(cluster)} - {self._own}
        if not others:
            return
        living = frozenset(await run_in(self._ledger, self._living))
        if self._own not in living:
            return  # whoever does not list this worker does not list the others either
        for worker in sorted(others - living):
            jobs = await run_in(self._ledger, self._leases.end_leases_of, worker)
            if jobs:
                logger.warning("jobs.worker_gone", extra={"worker": worker, "jobs": jobs})
