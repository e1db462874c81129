"""The intended-use check of one study, before any variant answers."""

from __future__ import annotations

from canary.gates import SitePolicy, StudyInUse, UseLimits, check_intended_use
from core.errors import OutsideIntendedUse
from imaging.patient_facts import PatientFacts
from models.spec import Contrast, IntendedUse


def require_intended_use(use: IntendedUse, facts: PatientFacts, policy: SitePolicy) -> None:
    """Raise OutsideIntendedUse for a study that `use` does not cover; it names the limit, no value of the patient."""
    limits = UseLimits(
        use.modalities,
        use.body_parts,
        use.min_age_years,
        use.max_age_years,
        views=use.views,
        without_contrast=use.contrast is Contrast.NONE,
    )
    study = StudyInUse(
        facts.modality, facts.body_part, facts.age_years, view=facts.view, has_contrast=facts.has_contrast
    )
    verdict = check_intended_use(limits, study, policy)
    if not verdict.allowed:
        raise OutsideIntendedUse(verdict.reason)
