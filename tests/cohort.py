"""A stored study of a cohort through the reader of production, without a stack."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from core.priority import Priority, queue_order
from core.study import StudyRef
from imaging.patient_facts import PatientFacts
from imaging.volume import Volume
from models.spec import ModelSpec
from serve_apps.application.fetch_study import StudyFetcher
from serve_apps.application.messages import EligibleModel, FetchRequest
from tests.bad_studies.reading import OneFolder


async def facts_and_volume(root: Path, study_uid: str, spec: ModelSpec) -> tuple[PatientFacts, Volume]:
    """What a reader makes of a study below `root`. Raises SerinusError."""
    volumes: list[Volume] = []
    fetcher = StudyFetcher(OneFolder(root), volumes.append, 1)
    order = queue_order(Priority.ROUTINE, datetime(2026, 1, 1, tzinfo=UTC))
    request = FetchRequest(
        StudyRef("folder", study_uid), (EligibleModel(spec.name, spec.input.series),), order, 60.0
    )
    try:
        study = await fetcher.fetch(request)
    finally:
        await fetcher.aclose()
    (volume,) = volumes
    return study.facts, volume
