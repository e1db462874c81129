"""A/B tests by HTTP: start, report, end.

FastAPI reads the annotations of the routes at run time, so they are not postponed here.
"""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from canary.ab_report import ArmMetrics, Share
from serve_apps.api.dependencies import MUST_READ, Actor, ModelName, Site
from serve_apps.api.problems import problems
from serve_apps.api.routing_mapping import slot_document, slot_of
from serve_apps.api.routing_schemas import ABTestIn
from serve_apps.api.strict_json import StrictRoute
from serve_apps.application.ab_tests import ABReport

router = APIRouter(prefix="/v1/ab-tests", tags=["routing"], responses=problems(409), route_class=StrictRoute)


@router.put("/{model}")
async def start(services: Site, actor: Actor, model: ModelName, test: ABTestIn) -> dict[str, Any]:
    """Split the patients between the versions behind two or more `arm-…` aliases."""
    slot = slot_of(test.slot)
    await services.ab_tests.start(model, test.weights_bp, test.coverage_bp, slot, actor=actor)
    return report_document(await services.ab_tests.report(model))


@router.get("/{model}", dependencies=[MUST_READ])
async def report(services: Site, model: ModelName) -> dict[str, Any]:
    """Metrics by arm, and whether the split is the one that was asked for."""
    return report_document(await services.ab_tests.report(model))


@router.delete("/{model}", status_code=204)
async def end(services: Site, actor: Actor, model: ModelName) -> None:
    """End the test: all patients go back to the champion."""
    await services.ab_tests.end(model, actor=actor)


def report_document(report: ABReport) -> dict[str, Any]:
    return {
        "model": report.model,
        "serving": report.is_serving,
        "coverage_bp": report.test.coverage_bp,
        "slot": slot_document(report.test.slot),
        "sample_ratio": asdict(report.ratio),
        "arms": [arm_document(report, name) for name in sorted(report.test.weights_bp)],
    }


def arm_document(report: ABReport, name: str) -> dict[str, Any]:
    versions = [metrics_document(metrics) for metrics in report.metrics if metrics.arm == name]
    return {"name": name, "weight_bp": report.test.weights_bp[name], "versions": versions}


def metrics_document(metrics: ArmMetrics) -> dict[str, Any]:
    return {
        "version": metrics.version,
        "patients": metrics.patients,
        "studies": metrics.studies,
        "failed": share_document(metrics.failed),
        "flagged": share_document(metrics.flagged),
        "latency_p50_ms": metrics.latency_p50_ms,
        "latency_p95_ms": metrics.latency_p95_ms,
    }


def share_document(share: Share) -> dict[str, Any]:
    return {"hits": share.hits, "total": share.total, "share": share.value, "interval_95": share.interval}
