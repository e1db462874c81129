"""A/B tests as people run them: start, look, end. Weights are fixed for a test's life; others are another test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from canary.ab_report import ArmMetrics, Share, arm_metrics
from canary.observation import ABView
from canary.routing_table import Slot
from canary.sample_ratio import RatioVerdict, judge_ratio, observe_draws
from core.clock import now
from ledger import Ledger
from serve_apps.api.problems import Problem
from serve_apps.application.routing_snapshot import RoutingSnapshot


class ABService:
    """Starts and ends A/B tests of `arm-…` aliases, and reports on them from the decision ledger."""

    def __init__(
        self, ledger: Ledger, snapshot: Callable[[], RoutingSnapshot], announce: Callable[[], Awaitable[None]]
    ) -> None:
        self._ledger = ledger
        self._fleet = snapshot
        self._announce = announce

    async def start(
        self, model: str, weights_bp: Mapping[str, int], coverage_bp: int, slot: Slot | None, actor: str
    ) -> None:
        """Begin a test, or open a running one wider. Raises ExperimentUnderWay or Problem 422."""
        self._require_arms(model, weights_bp)
        try:
            await asyncio.to_thread(
                self._ledger.routing.set_ab,
                model,
                weights_bp,
                coverage_bp=coverage_bp,
                slot=slot,
                actor=actor,
                now=now(),
            )
        except ValueError as error:
            raise Problem("invalid-field", str(error), pointer="/weights_bp") from None
        await self._announce()

    async def end(self, model: str, actor: str) -> None:
        """All patients go back to the champion; what was learned stays in the ledger."""
        self._fleet().table(model)
        await asyncio.to_thread(self._ledger.routing.end_ab, model, actor=actor, now=now())
        await self._announce()

    async def report(self, model: str) -> dict[str, Any]:
        """The running test with its metrics by arm; Problem 404 when none runs."""
        table = self._fleet().table(model)
        wish = await asyncio.to_thread(self._ledger.routing.get, model)
        if wish.ab is None:
            raise Problem("no-ab-test", "no A/B test of this model is running")
        metrics = arm_metrics(await asyncio.to_thread(self._ledger.ab_results.readings, model, wish.ab.salt))
        ratio = await asyncio.to_thread(self._ratio, model, wish.ab.salt)
        return {
            "model": model,
            "serving": table.ab_test is not None,
            "coverage_bp": wish.ab.coverage_bp,
            "sample_ratio": asdict(ratio),
            "arms": [_arm_json(wish.ab, name, metrics) for name in sorted(wish.ab.weights_bp)],
        }

    def _ratio(self, model: str, salt: str) -> RatioVerdict:
        exposures = self._ledger.decisions.exposures(model, salt=salt)
        return judge_ratio(observe_draws({}, (each.draw for each in exposures)).values())

    def _require_arms(self, model: str, weights_bp: Mapping[str, int]) -> None:
        self._fleet().table(model)
        known = {variant.role for variant in self._fleet().variants if variant.model == model}
        missing = sorted(set(weights_bp) - known)
        if missing:
            told = f"no version carries the alias {', '.join(missing)} in the registry"
            raise Problem("invalid-field", told, pointer="/weights_bp")


def _arm_json(test: ABView, name: str, metrics: tuple[ArmMetrics, ...]) -> dict[str, Any]:
    versions = [_metrics_json(each) for each in metrics if each.arm == name]
    return {"name": name, "weight_bp": test.weights_bp[name], "versions": versions}


def _metrics_json(metrics: ArmMetrics) -> dict[str, Any]:
    return {
        "version": metrics.version,
        "patients": metrics.patients,
        "studies": metrics.studies,
        "failed": _share_json(metrics.failed),
        "flagged": _share_json(metrics.flagged),
        "latency_p50_ms": metrics.latency_p50_ms,
        "latency_p95_ms": metrics.latency_p95_ms,
    }


def _share_json(share: Share) -> dict[str, Any]:
    return {"hits": share.hits, "total": share.total, "share": share.value, "interval_95": share.interval}
