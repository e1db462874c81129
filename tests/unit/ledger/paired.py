"""Builders: a study that one version answered and another read as a shadow, and what somebody says of it later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from canary.assignment import StudyFacts
from canary.decision_inputs import facts_text
from canary.explain import DecisionRow
from canary.truth import TruthLabel, TruthSource
from core.study import StudyRef
from ledger import JobRequest, Ledger, NewTruth, ShadowTask
from tests.unit.ledger.conftest import NOON, set_time
from tests.unit.ledger.routed import decided

ICH = "1386000@SCT"
SHARE = 0.05


def says(version: str, presence: str, probability: float = 0.7, **more: Any) -> dict[str, Any]:
    """What a version says of a study, as the ledger keeps it of a shadow."""
    finding = {
        "code": ICH,
        "meaning": "Intracranial hemorrhage",
        "presence": presence,
        "probability": probability,
        "critical": True,
    }
    return {"version": version, "digest": "d", "findings": [finding], "measurements": [], **more}


@dataclass(frozen=True)
class Study:
    """A study of a patient; its pseudonym is `st-` and its name."""

    patient: str
    name: str
    tenant: str = "ris"

    @property
    def uid(self) -> str:
        return "1.2.840." + str(sum(map(ord, self.name)))

    @property
    def key(self) -> str:
        return f"st-{self.name}"

    def decision(self) -> DecisionRow:
        facts = StudyFacts(self.key, self.patient, site="north", modality="CT", scanner="CT-2")
        return replace(decided(self.patient, study=self.key), facts=facts_text(facts))


def read_twice(
    ledger: Ledger,
    patient: str = "pt-1",
    delivered: Mapping[str, Any] | None = None,
    shadow: Mapping[str, Any] | str | None = None,
    *,
    study: str = "",
    at: datetime = NOON,
    role: str = "shadow",
    tenant: str = "ris",
) -> str:
    """A study of the patient; `shadow` is the outcome, or the code of the error that it ended with.

    Version 1 answers and 2 is the shadow, unless they say otherwise. `delivered` with an `error` is what the champion
    failed at. Returns the job's id. The study is called by the patient unless it is named.
    """
    set_time(ledger, at)
    read = Study(patient, study or patient, tenant)
    delivered = says("1", "present") if delivered is None else delivered
    shadow = says("2", "present") if shadow is None else shadow
    version = "2" if isinstance(shadow, str) else shadow["version"]
    job = end_with_a_shadow(ledger, read, delivered, version, role)
    (pending,) = ledger.shadows.claim("w", 10, 1)
    if isinstance(shadow, str):
        ledger.shadows.failed(pending.token, shadow, None)
    else:
        ledger.shadows.done(pending.token, shadow, 12.0)
    return job


def end_with_a_shadow(
    ledger: Ledger, study: Study, delivered: Mapping[str, Any], version: str, role: str
) -> str:
    """A job of the study ends, with a result or with an error, and the version still has to read it."""
    where = StudyRef("pacs", study.uid)
    job = ledger.jobs.submit(JobRequest(where), idempotency_key=None, tenant=study.tenant).job
    claimed = ledger.leases.claim(job.id, "w", 10)
    assert claimed is not None
    task = ShadowTask(
        model="ich",
        version=version,
        app=f"app-{version}",
        variant="shadow-next",
        role=role,
        study=where,
        decision=study.decision(),
        delivered=delivered,
    )
    ending: dict[str, Any] = {"decisions": [task.decision], "shadows": [task], "study_key": study.key}
    if "error" in delivered:
        ledger.leases.fail(claimed.token, delivered["error"], "failed", model="ich", **ending)
    else:
        nothing: dict[str, Any] = {"result": {}, "documents_by_kind": {}, "deliveries_to_make": ()}
        ledger.leases.complete(claimed.token, stages_s={}, model="ich", **nothing, **ending)
    return job.id


def failed(version: str = "1", error: str = "model-error") -> dict[str, Any]:
    """What is told of a study that the version failed in the end."""
    return {"version": version, "digest": "d", "findings": [], "measurements": [], "error": error}


def told(
    label: TruthLabel | None = TruthLabel.PRESENT,
    study: str = "pt-1",
    source: TruthSource = TruthSource.REPORT,
    **more: Any,
) -> NewTruth:
    """What a source says of a study that is named as in `read_twice`."""
    fields: dict[str, Any] = {
        "tenant": "ris",
        "study_key": f"st-{study}",
        "model": "ich",
        "finding": ICH,
        "source": source,
        "reader": "reader-7",
        "read_at": NOON,
        "label": label,
    }
    return NewTruth(**{**fields, **more})
