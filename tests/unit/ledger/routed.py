"""Builders: a table, a study's decision under it, and the silent reading that the study owes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from canary.assignment import StudyFacts, assign
from canary.explain import DecisionRow, decision_row
from canary.routing_table import Canary, RoutingTable, Shadow, Variant
from ledger import JobRequest, Ledger, ShadowTask
from tests.unit.ledger.conftest import NOON

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


def owed(role: str = "shadow", app: str = "app-3", version: str = "3") -> ShadowTask:
    return ShadowTask(
        model="ich",
        version=version,
        app=app,
        variant="shadow-next" if role == "shadow" else "champion",
        role=role,
        source="pacs",
        study_uid="1.2.840.99",
        series_uids=("1.2.840.99.1",),
        inputs=("s3://in/1",),
        decision=decided(),
        primary={"findings": [{"code": "1386000@SCT", "presence": "present"}]},
    )


def read_study(
    ledger: Ledger,
    rows: Sequence[DecisionRow] = (),
    shadows: Sequence[ShadowTask] = (),
    at: datetime = NOON,
) -> str:
    """A job that is submitted, claimed and completed; returns its id."""
    job = ledger.jobs.submit(JobRequest("1.2.840.99", "pacs"), idempotency_key=None, tenant="ris", now=at).job
    (claimed,) = ledger.leases.claim("w", now=at, lease_s=10, limit=1)
    complete_study(ledger, claimed.token, rows, shadows, at)
    return job.id


def complete_study(
    ledger: Ledger,
    token: str,
    rows: Sequence[DecisionRow] = (),
    shadows: Sequence[ShadowTask] = (),
    at: datetime = NOON,
) -> None:
    ledger.leases.complete(
        token,
        result={},
        documents_by_kind={},
        deliveries_to_make=(),
        stages_s={},
        model="ich",
        now=at,
        decisions=rows,
        shadows=shadows,
        study_key="study-key",
    )
