"""A case through the real reader without a stack: as the reader's replica reads it, and then the intended use."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from canary.gates import SitePolicy
from core.priority import Priority, queue_order
from core.study import StudyRef
from imaging.archive import FetchLimits
from imaging.folder import FolderArchive, FolderSource
from imaging.volume import Volume
from models.spec import ModelSpec
from models.zoo import chest_film_qa
from models.zoo.ich import versions as ich
from serve_apps.application.fetch_study import StudyFetcher
from serve_apps.application.intended_use import require_intended_use
from serve_apps.application.messages import EligibleModel, FetchRequest
from tests.bad_studies.case import FILM, film, head
from tests.bad_studies.pixels import LIMITS


@cache
def spec_of(model: str) -> ModelSpec:
    return chest_film_qa.SPEC if model == FILM else ich.build(1)[1]


@cache
def study_uid_of(model: str) -> str:
    """Of every case of the model: each has a folder to itself."""
    return str((film() if model == FILM else head())[0].StudyInstanceUID)


class OneFolder:
    """The archives of a site that has one folder."""

    def __init__(self, root: Path) -> None:
        self.archive = FolderArchive(FolderSource("folder", root), FetchLimits(pixels=LIMITS))

    def of(self, source_id: str) -> FolderArchive:
        return self.archive

    async def aclose(self) -> None:
        await self.archive.aclose()


async def read(files: Sequence[bytes], study_uid: str, model: str, root: Path) -> Volume:
    """The volume that a version would get. Raises SerinusError."""
    for number, content in enumerate(files):
        (root / f"{number:02d}.dcm").write_bytes(content)
    volumes: list[Volume] = []
    fetcher = StudyFetcher(OneFolder(root), volumes.append, 1, LIMITS)
    spec = spec_of(model)
    order = queue_order(Priority.ROUTINE, datetime(2026, 1, 1, tzinfo=UTC))
    eligible = (EligibleModel(model, spec.input.series),)
    try:
        study = await fetcher.fetch(FetchRequest(StudyRef("folder", study_uid), eligible, order, 60.0))
    finally:
        await fetcher.aclose()
    require_intended_use(spec.intended_use, study.facts, SitePolicy.RESEARCH)
    (volume,) = volumes
    return volume
