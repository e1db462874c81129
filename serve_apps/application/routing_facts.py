"""What routing may know of a study: pseudonyms in place of the patient, and where the study was made."""

from __future__ import annotations

from canary.assignment import StudyFacts
from imaging.patient_facts import PatientFacts
from observability.redaction import Pseudonymiser


def routing_facts(
    study_uid: str, facts: PatientFacts, site: str, keys: Pseudonymiser, tester_variant: str | None = None
) -> StudyFacts:
    """What routing may know of a study, by pseudonyms.

    A missing patient or accession stays empty; `assign` then falls back to the study.
    """
    return StudyFacts(
        study_key=keys.study(study_uid),
        patient_key=keys.patient(facts.patient_id) if facts.patient_id else "",
        accession_key=keys.accession(facts.accession) if facts.accession else "",
        site=site,
        modality=facts.modality,
        scanner=facts.scanner,
        tester_variant=tester_variant,
    )
