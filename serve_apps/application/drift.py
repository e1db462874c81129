"""What drift reports say of a version, and whom they believe: a named person accepts what is normal."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime
from typing import Final

from core.clock import now
from core.errors import InvalidField, NoDriftReference, UnknownModel
from ledger import Ledger, NewReference, StoredVerdict
from ledger.drift_readings import SLICE_S
from observability.drift.counters import slice_of
from observability.drift.reference import Reference
from observability.drift.report import DriftReport, report_of
from observability.drift.verdict import DriftPlan
from serve_apps.application.drift_truth import truth_report
from serve_apps.application.executors import run_in
from serve_apps.application.routing_snapshot import RoutingSnapshot

TEN_YEARS: Final = 3652.0
"""Days between two false alarms of a version, in the mean, over all signals and places together."""
PLAN: Final = DriftPlan(arl_slices=TEN_YEARS)


class DriftService:
    """A version that is not named is the model's champion."""

    def __init__(
        self,
        ledger: Ledger,
        snapshot: Callable[[], RoutingSnapshot],
        executor: Executor,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._ledger = ledger
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
        today, of = today_at(self._clock()), self._version(model, version)
        new = NewReference(model, of, today - days, today - 1, today)
        reference = await run_in(
            self._executor, lambda: self._ledger.drift_references.accept(new, actor=actor)
        )
        if reference is None:
            raise InvalidField(f"version {of} read nothing on these days", pointer="/days")
        return reference

    async def acknowledge(self, model: str, version: str | None, *, actor: str) -> StoredVerdict:
        """A person has looked and keeps the reference: watching begins anew today. Returns what was looked at.

        Raises NoDriftReference for a version at which nobody looked yet.
        """
        of, today = self._version(model, version), today_at(self._clock())
        seen = await run_in(
            self._executor,
            lambda: self._ledger.drift_verdicts.acknowledge(model, of, today, actor=actor),
        )
        if seen is None:
            raise NoDriftReference(f"no look at version {of} of {model} was ever made")
        return seen

    def _report(self, model: str, version: str) -> DriftReport:
        report = report_until(self._ledger, model, version, today_at(self._clock()) - 1)
        if report is None:
            raise NoDriftReference(f"nobody has accepted what is normal for version {version} of {model}")
        truth = truth_report(
            self._ledger,
            model,
            version,
            first=report.reference_from,
            watched_from=report.verdict.first_slice,
            until=report.until,
            arl_slices=PLAN.arl_slices,
        )
        return replace(report, truth=truth)

    def _version(self, model: str, version: str | None) -> str:
        if version is not None:
            return version
        table = self._snapshot().tables.get(model)
        if table is None:
            raise UnknownModel("no version of that model is in service: name one")
        return table.champion.version


def report_until(
    ledger: Ledger, model: str, version: str, last: int, *, with_blind_spots: bool = True
) -> DriftReport | None:
    """All days from where watching began to `last`; None where nobody accepted a reference. Blocks."""
    reference = ledger.drift_references.newest(model, version)
    if reference is None:
        return None
    tally = ledger.drift.tally(model, version, reference.watched_from, last, reference.signals)
    kept = ledger.drift_verdicts.of(model, version)
    restarted = kept.restarted_at if kept is not None and kept.reference == reference.version else None
    return report_of(reference, tally, last, PLAN, restarted, with_blind_spots=with_blind_spots)


def today_at(at: datetime) -> int:
    return slice_of(int(at.timestamp()), SLICE_S)
