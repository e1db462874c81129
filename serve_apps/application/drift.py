"""What drift reports say of a version, and whom they believe: a named person accepts what is normal."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime
from typing import Final, Protocol

from core.clock import now
from core.errors import InvalidField, NoDriftReference, UnknownModel
from ledger import NewReference
from ledger.drift import SLICE_S
from observability.drift.counters import Tally, slice_of
from observability.drift.reference import Reference
from observability.drift.report import DriftReport, report_of
from observability.drift.verdict import DriftPlan
from serve_apps.application.executors import run_in
from serve_apps.application.routing_snapshot import RoutingSnapshot

TEN_YEARS: Final = 3652.0
"""Days between two false alarms of a version, in the mean, over all signals and places together."""
PLAN: Final = DriftPlan(arl_slices=TEN_YEARS)


class DriftRows(Protocol):
    """`ledger.drift`. Raises LedgerUnavailable."""

    def reference(self, model: str, version: str) -> Reference | None: ...
    def tally(self, model: str, version: str, first: int, last: int) -> Tally: ...
    def accept(self, new: NewReference, *, actor: str) -> Reference | None: ...


class DriftService:
    """A version that is not named is the model's champion."""

    def __init__(
        self,
        rows: DriftRows,
        snapshot: Callable[[], RoutingSnapshot],
        executor: Executor,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._rows = rows
        self._snapshot = snapshot
        self._executor = executor
        self._clock = clock

    async def report(self, model: str, version: str | None) -> DriftReport:
        """Of all days that are over. Raises NoDriftReference where nobody accepted what is normal."""
        return await run_in(self._executor, self._report, model, self._version(model, version))

    async def accept(self, model: str, version: str | None, days: int, *, actor: str) -> Reference:
        """The last `days` days that are over are normal; watching begins today. Raises InvalidField for days on
        which the version read nothing.
        """
        today, of = self._today(), self._version(model, version)
        new = NewReference(model, of, today - days, today - 1, today)
        reference = await run_in(self._executor, lambda: self._rows.accept(new, actor=actor))
        if reference is None:
            raise InvalidField(f"version {of} read nothing on these days", pointer="/days")
        return reference

    def _report(self, model: str, version: str) -> DriftReport:
        reference = self._rows.reference(model, version)
        if reference is None:
            raise NoDriftReference(f"nobody has accepted what is normal for version {version} of {model}")
        last = self._today() - 1
        tally = self._rows.tally(model, version, reference.watched_from, last)
        return report_of(reference, tally, last, PLAN)

    def _version(self, model: str, version: str | None) -> str:
        if version is not None:
            return version
        table = self._snapshot().tables.get(model)
        if table is None:
            raise UnknownModel("no version of that model is in service: name one")
        return table.champion.version

    def _today(self) -> int:
        return slice_of(int(self._clock().timestamp()), SLICE_S)
