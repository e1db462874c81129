"""A/B tests as people run them: start, report, end. Weights are fixed for a test's life; others are another test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from canary.ab_report import ArmMetrics, arm_metrics
from canary.observation import ABView
from canary.routing_table import Slot
from canary.sample_ratio import RatioVerdict, judge_ratio, observe_draws
from core.errors import InvalidField, NoExperiment
from ledger import Ledger
from serve_apps.application.executors import run_in
from serve_apps.application.fresh_snapshot import SnapshotChecks
from serve_apps.application.routing_checks import require_arms
from serve_apps.application.routing_snapshot import RoutingSnapshot


@dataclass(frozen=True, slots=True)
class ABReport:
    """A running test: whether studies are split by it now, whether the split is the one asked for, and its arms."""

    model: str
    test: ABView
    is_serving: bool
    ratio: RatioVerdict
    metrics: tuple[ArmMetrics, ...]


class ABService:
    """Starts and ends A/B tests of `arm-…` aliases, and reports on them from the decision ledger."""

    def __init__(
        self,
        ledger: Ledger,
        snapshot: Callable[[], RoutingSnapshot],
        checks: SnapshotChecks,
        announce: Callable[[], Awaitable[None]],
        executor: Executor,
    ) -> None:
        self._ledger = ledger
        self._snapshot = snapshot
        self._checks = checks
        self._announce = announce
        self._executor = executor

    async def start(
        self, model: str, weights_bp: Mapping[str, int], coverage_bp: int, slot: Slot | None, *, actor: str
    ) -> None:
        """Begin a test, or open a running one wider. Raises ExperimentUnderWay or InvalidField."""
        await self._checks.require(lambda snapshot: require_arms(snapshot, model, weights_bp.keys()))
        try:
            await run_in(
                self._executor,
                self._ledger.routing.set_ab,
                model,
                weights_bp,
                coverage_bp=coverage_bp,
                slot=slot,
                actor=actor,
            )
        except ValueError as error:
            raise InvalidField(str(error), "/weights_bp") from None
        await self._announce()

    async def end(self, model: str, *, actor: str) -> None:
        """End the test: all patients go back to the champion; what was learned stays in the ledger."""
        self._snapshot().table(model)
        await run_in(self._executor, self._ledger.routing.end_ab, model, actor=actor)
        await self._announce()

    async def report(self, model: str) -> ABReport:
        """The running test with its metrics by arm. Raises NoExperiment when none runs."""
        table = self._snapshot().table(model)
        return await run_in(self._executor, self._report, model, table.ab_test is not None)

    def _report(self, model: str, is_serving: bool) -> ABReport:
        """Make the report: reads and computes over every study of the test: not in the event loop."""
        test = self._ledger.routing.get(model).ab
        if test is None:
            raise NoExperiment("no A/B test of this model is running")
        metrics = arm_metrics(self._ledger.ab_results.readings(model, test.salt))
        exposures = self._ledger.decisions.exposures(model, salt=test.salt)
        ratio = judge_ratio(observe_draws({}, (exposure.draw for exposure in exposures)).values())
        return ABReport(model, test, is_serving, ratio, metrics)
