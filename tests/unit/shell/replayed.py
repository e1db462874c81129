"""Builders: a site whose champion has answered studies of the past, and a version that may read them again."""

from __future__ import annotations

from dataclasses import replace

from canary.assignment import StudyFacts, assign
from canary.explain import decision_row
from canary.routing_table import Shadow
from core.study import StudyRef
from imaging.finding import Prediction
from ledger import JobRequest
from serve_apps.application.messages import ServedVersion
from serve_apps.application.result import to_result
from tests.unit.shell.builders import a_prediction, a_snapshot, a_variant, a_version
from tests.unit.shell.site import Site

CHAMPION, CANDIDATE = a_version("1"), a_version("2")


def serve_candidate(site: Site, candidate: ServedVersion = CANDIDATE) -> None:
    """The candidate is the challenger, and reads no study of now."""
    snapshot = a_snapshot(CHAMPION)
    shadow = Shadow(a_variant(candidate, "challenger"), 0)
    table = replace(snapshot.table("ich-triage"), shadows=(shadow,))
    served = {**snapshot.endpoints, candidate.app_name: candidate}
    site.snapshot = replace(snapshot, tables={"ich-triage": table}, endpoints=served)


def answer(site: Site, patient: str, prediction: Prediction | None = None) -> str:
    """The champion answers a study of the patient; returns the job's id."""
    uid = f"1.2.840.{sum(map(ord, patient))}"
    study = StudyRef("samples", uid, (), ("1.2.840.9",))
    job = site.ledger.jobs.submit(JobRequest(study), idempotency_key=None, tenant="ris").job
    claimed = site.ledger.leases.claim(job.id, "w", 60)
    assert claimed is not None
    facts = StudyFacts(f"st-{patient}", patient, site="north", modality="CT")
    assignment = assign(facts, a_snapshot(CHAMPION).table("ich-triage"))
    row = decision_row(assignment, "ich-triage", role="answered", outcome="ok", latency_ms=9.0)
    result = to_result(prediction or a_prediction("1"), uid, sr_uid="1.2.9", routing={})
    site.ledger.leases.complete(
        claimed.token,
        result=result.to_json(),
        documents_by_kind={"sr": b"DICM"},
        deliveries_to_make=(),
        stages_s={},
        model="ich-triage",
        decisions=[row],
        study_key=f"st-{patient}",
    )
    return job.id
