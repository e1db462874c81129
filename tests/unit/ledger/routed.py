"""Builders: a table, a study's decision under it, and the shadow task that comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from canary.assignment import StudyFacts, assign
from canary.explain import DecisionRow, decision_row
from canary.routing_table import Canary, RoutingTable, Shadow, Variant
from core.study import StudyRef
from ledger import ClaimedJob, JobRequest, Ledger, ShadowTask
from tests.unit.ledger.conftest import NOON, set_time

V1 = Variant("champion", "1", "d1", "app-1")
V2 = Variant("canary", "2", "d2", "app-2")
V3 = Variant("shadow-next", "3", "d3", "app-3")


def table(weight_bp: int = 10_000, generation: int = 1, salt: str = "salt") -> RoutingTable:
    """Version 2 as canary, version 3 as shadow."""
    canary = Canary(V2, weight_bp, salt)
    return RoutingTable(generation, "ich", V1, canary=canary, shadows=(Shadow(V3, 10_000),))


def decided(
    patient: str = "p", routing: RoutingTable | None = None, role: str = "answered", study: str = "s"
) -> DecisionRow:
    assignment = assign(StudyFacts(study, patient), routing or table())
    return decision_row(assignment, "ich", role=role, outcome="normal", latency_ms=12.5)


def stood_in(failed: DecisionRow) -> tuple[DecisionRow, ...]:
    """The canary failed and the champion answered."""
    answered = replace(failed, role="answered", variant="champion", version="1", digest="d1")
    return (replace(failed, role="failed", outcome="model-error"), answered)


def pending(role: str = "shadow", app: str = "app-3", version: str = "3") -> ShadowTask:
    return ShadowTask(
        model="ich",
        version=version,
        app=app,
        variant="shadow-next" if role == "shadow" else "champion",
        role=role,
        study=StudyRef("pacs", "1.2.840.99", ("1.2.840.99.1",), ("s3://in/1",)),
        decision=decided(),
        rule={"modalities": ["CT"]},
        delivered={"findings": [{"code": "1386000@SCT", "presence": "present"}]},
    )


def read_study(
    ledger: Ledger,
    rows: Sequence[DecisionRow] = (),
    shadows: Sequence[ShadowTask] = (),
    at: datetime = NOON,
) -> str:
    """A job that is submitted, claimed and completed at that moment; returns its id."""
    set_time(ledger, at)
    request = JobRequest(StudyRef("pacs", "1.2.840.99"))
    job = ledger.jobs.submit(request, idempotency_key=None, tenant="ris").job
    claimed = ledger.leases.claim(job.id, "w", 10)
    assert claimed is not None
    complete_study(ledger, claimed.token, rows, shadows)
    return job.id


def claim_due(ledger: Ledger, limit: int = 1, worker: str = "w", lease_s: float = 10) -> list[ClaimedJob]:
    """Claim jobs as recovery does, without waiting for the worker that was called."""
    due = ledger.leases.due(limit, unclaimed_s=0)
    return [claimed for job in due if (claimed := ledger.leases.claim(job.id, worker, lease_s)) is not None]


def complete_study(
    ledger: Ledger,
    token: str,
    rows: Sequence[DecisionRow] = (),
    shadows: Sequence[ShadowTask] = (),
) -> None:
    ledger.leases.complete(
        token,
        result={},
        documents_by_kind={},
        deliveries_to_make=(),
        stages_s={},
        model="ich",
        decisions=rows,
        shadows=shadows,
        study_key="study-key",
    )
