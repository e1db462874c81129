"""Builders: studies that a version answered with a whole result, and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from canary.explain import DecisionRow
from canary.recall import compare
from core.study import StudyRef
from ledger import (
    ComparedItem,
    Delivery,
    JobRequest,
    Ledger,
    NewRecall,
    NewRecallItem,
    Recall,
    Reread,
    ShadowTask,
)
from serve_apps.application.recalled import outcome_of, said_in
from tests.unit.ledger.conftest import NOON, after, set_time
from tests.unit.ledger.routed import decided

ICH = {"value": "1386000", "scheme": "SCT", "meaning": "Intracranial hemorrhage"}
EVER = after(7 * 86_400)


def result_of(
    version: str = "2", presence: str = "absent", study: str = "1.2.3", **more: Any
) -> dict[str, Any]:
    """What a version said of one finding, as the ledger keeps a result; it is critical where it is present."""
    finding = {
        "concept": ICH,
        "presence": presence,
        "probability": 0.7,
        "urgency": "critical" if presence == "present" else "none",
    }
    return {
        "model": {"name": "ich", "version": version, "digest": f"d{version}"},
        "series_uid": f"{study}.1",
        "findings": [finding],
        "measurements": [],
        "priority_score": 50,
        "sr_sop_instance_uid": f"{study}.9",
        **more,
    }


def by(version: str = "2", variant: str = "canary", patient: str = "p") -> DecisionRow:
    """The decision of a study that this version answered."""
    return replace(decided(patient), version=version, variant=variant, digest=f"d{version}")


def answered(
    ledger: Ledger,
    at: datetime = NOON,
    study: str = "1.2.3",
    version: str = "2",
    *,
    variant: str = "canary",
    presence: str = "absent",
    tenant: str = "ris",
    shadows: Sequence[ShadowTask] = (),
    deliveries: Sequence[Delivery] = (),
) -> str:
    """A study that the version answered at that moment, whose critical finding it says to be absent; the job's id."""
    set_time(ledger, at)
    job = ledger.jobs.submit(JobRequest(StudyRef("pacs", study)), idempotency_key=None, tenant=tenant).job
    claimed = ledger.leases.claim(job.id, "w", 10)
    assert claimed is not None
    ledger.leases.complete(
        claimed.token,
        result=result_of(version, presence, study),
        documents_by_kind={},
        deliveries_to_make=deliveries,
        stages_s={},
        model="ich",
        decisions=[by(version, variant)],
        shadows=shadows,
        study_key=f"st-{study}",
    )
    return job.id


def answered_as(
    ledger: Ledger, reading: str, at: datetime, study: str = "1.2.3", tenant: str = "other"
) -> str:
    """A job that gets the result of another job's reading; its id."""
    set_time(ledger, at)
    job = ledger.jobs.submit(JobRequest(StudyRef("pacs", study)), idempotency_key=None, tenant=tenant).job
    claimed = ledger.leases.claim(job.id, "w", 10)
    assert claimed is not None
    ledger.leases.complete_as(
        claimed.token,
        reading,
        result=ledger.jobs.result(reading),
        deliveries_to_make=(),
        stages_s={},
        model="ich",
        is_foreign=True,
    )
    return job.id


def read_for(
    ledger: Ledger,
    job: str,
    presence: str | None = "present",
    *,
    role: str = "safety-net",
    version: str = "1",
) -> None:
    """Version 1, or another, reads the job's study beside it; a presence of None: it fails."""
    task = ShadowTask(
        model="ich",
        version=version,
        app=f"app-{version}",
        variant="champion",
        role=role,
        study=StudyRef("pacs", "1.2.3"),
        decision=by(version, "champion"),
        delivered=outcome("2", "absent"),
    )
    ledger.shadows.enqueue(job, [task])
    (claimed,) = ledger.shadows.claim("w", 10, 1, roles=[role])
    if presence is None:
        ledger.shadows.failed(claimed.token, "study-not-found", None)
    else:
        ledger.shadows.done(claimed.token, outcome(version, presence), 12.0)


def outcome(version: str = "1", presence: str = "present") -> dict[str, Any]:
    """What a version says as a shadow."""
    code = f"{ICH['value']}@{ICH['scheme']}"
    finding = {"code": code, "meaning": ICH["meaning"], "presence": presence, "probability": 0.7}
    critical = {"critical": presence == "present"}
    return {"version": version, "digest": f"d{version}", "findings": [finding | critical], "measurements": []}


def a_recall(ledger: Ledger, since: datetime = NOON, run: int | None = 1, **more: Any) -> Recall:
    new = NewRecall(
        **{"model": "ich", "version": "2", "since": since, "reason": "it failed", "run": run, **more}
    )
    return ledger.recalls.make(new, actor="rollout")[0]


def listed(ledger: Ledger, recall: Recall) -> list[str]:
    """The items, each with what the version answered until then; their ids in the order of the jobs."""
    studies = ledger.recalled_studies.answered(recall, recall.since, EVER, 10)
    ledger.recalls.add(recall.id, [NewRecallItem(one, outcome_of(one.result)) for one in studies])
    by_time = sorted(ledger.recall_lists.ranks(recall.id, tenant=None), key=lambda one: one.answered_at)
    return [one.item for one in by_time]


def compared(ledger: Ledger, item: str, champion: str = "present") -> None:
    """The champion's finding, beside a delivered result that says that it is absent."""
    reread = Reread(item, outcome_of(result_of()), "1", outcome("1", champion))
    says = compare(said_in(reread.delivered), said_in(outcome("1", champion)))
    ledger.recalls.compared([ComparedItem(reread, says)])
