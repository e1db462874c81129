"""Each day, when it is over, versions in service are judged for drift; an alarm stands until a person has looked.

What was found stands in the ledger, where `serinus status`, the metrics and the report read it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

from core.clock import now
from ledger import DriftSeen, Ledger, SignalSeen, StoredVerdict
from observability.drift.report import DriftReport
from serve_apps.application.drift import report_until, today_at
from serve_apps.application.routing_snapshot import RoutingSnapshot

logger = logging.getLogger("serinus.drift")
ACTOR: Final = "drift-watch"

Version = tuple[str, str]


class DriftWatch:
    """Blocks: for a chore with a thread of its own. All raise LedgerUnavailable."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime] = now) -> None:
        self._ledger = ledger
        self._clock = clock

    def look_at(self, published: RoutingSnapshot) -> None:
        """Judge the versions of a snapshot."""
        self.look({(one.model, one.version) for one in published.variants})

    def look(self, in_service: Collection[Version]) -> int:
        """Judge what was not judged up to yesterday against its newest reference; how many versions were."""
        yesterday = today_at(self._clock()) - 1
        references, kept = self._ledger.drift_references.numbers(), self._kept()
        due = [
            key
            for key in sorted(set(in_service) & references.keys())
            if _is_due(kept.get(key), references[key], yesterday)
        ]
        for model, version in due:
            self._judge(model, version, yesterday)
        return len(due)

    def _judge(self, model: str, version: str, yesterday: int) -> None:
        before = self._ledger.drift_verdicts.of(model, version)
        report = report_until(self._ledger, model, version, yesterday, with_blind_spots=False)
        if report is None:
            return
        restarted = None
        if before is not None and before.reference == report.reference_version:
            restarted = before.restarted_at
        found = StoredVerdict(model, version, report.reference_version, yesterday, restarted, seen_of(report))
        if self._ledger.drift_verdicts.keep(found, actor=ACTOR):
            told = {"model": model, "version": version, "since": report.verdict.reached_at}
            logger.warning("drift.alarm", extra=told)

    def _kept(self) -> dict[Version, StoredVerdict]:
        return {(one.model, one.version): one for one in self._ledger.drift_verdicts.all()}


def seen_of(report: DriftReport) -> DriftSeen:
    """What is kept of a report."""
    verdict = report.verdict
    evidence = {one.signal: one.trajectory[-1] for one in verdict.by_signal if one.trajectory}
    return DriftSeen(
        verdict.state,
        verdict.sentence,
        verdict.log10_limit,
        verdict.reached_at,
        tuple(
            SignalSeen(one.signal.name, evidence.get(one.signal.name), one.effect.psi)
            for one in report.signals
        ),
    )


def drift_alarms(verdicts: Collection[StoredVerdict], in_service: Collection[Version]) -> dict[str, str]:
    """Of versions in service, by model and version, each with what a person does."""
    return {
        f"{one.model}/drift {one.version}": (
            f"{one.seen.sentence} `serinus drift report {one.model} --version {one.version}` shows it; "
            "`serinus drift acknowledge` keeps what is normal, `serinus drift accept` takes a new normal"
        )
        for one in verdicts
        if one.is_alarm and one.seen is not None and (one.model, one.version) in set(in_service)
    }


def _is_due(kept: StoredVerdict | None, reference: int, yesterday: int) -> bool:
    return kept is None or kept.reference != reference or kept.until is None or kept.until < yesterday
