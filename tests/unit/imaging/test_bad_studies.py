"""Each bad study through the real reader: it is refused with its code, or read with its note."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from canary.gates import SitePolicy
from core.errors import BrokenGeometry, SerinusError
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
from tests.bad_studies import CASES, LIMITS, Case
from tests.bad_studies.case import FILM, Study, as_files, film, head
from tests.bad_studies.objects import corrupt_deflated


@cache
def spec_of(model: str) -> ModelSpec:
    return chest_film_qa.SPEC if model == FILM else ich.build(1)[1]


class OneFolder:
    """The archives of a site that has one folder."""

    def __init__(self, root: Path) -> None:
        self.archive = FolderArchive(FolderSource("folder", root), FetchLimits(pixels=LIMITS))

    def of(self, source_id: str) -> FolderArchive:
        return self.archive

    async def aclose(self) -> None:
        await self.archive.aclose()


async def read(files: Sequence[bytes], study_uid: str, model: str, root: Path) -> Volume:
    """As the reader's replica reads it, and then the check before a version is asked."""
    for number, content in enumerate(files):
        (root / f"{number}.dcm").write_bytes(content)
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


def study_uid(model: str) -> str:
    return str((film() if model == FILM else head())[0].StudyInstanceUID)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
async def test_a_bad_study_is_refused_with_its_code_or_read_with_its_note(case: Case, tmp_path: Path) -> None:
    told, detail = None, ""
    notes: tuple[str, ...] = ()
    try:
        notes = (await read(case.files(), study_uid(case.model), case.model, tmp_path)).notes
    except SerinusError as error:
        told, detail = error.code, error.detail
    assert told == case.code, notes
    assert not re.search("BAD|SYNTHETIC", detail), "the patient is named"
    assert case.note in "; ".join(notes)


@pytest.mark.parametrize("make", [head, film])
async def test_the_good_studies_that_they_are_made_of_are_read_without_a_note(
    make: Callable[[], Study], tmp_path: Path
) -> None:
    model = FILM if make is film else "ich-triage"
    volume = await read(as_files(make()), study_uid(model), model, tmp_path)
    assert [note for note in volume.notes if "spacing" not in note] == []


def test_every_case_is_another_one() -> None:
    assert len({case.what for case in CASES}) == len(CASES) >= 60


async def test_a_geometry_that_a_junk_object_broke_says_so(tmp_path: Path) -> None:
    files = as_files(head())
    files[12] = b"no DICOM"
    with pytest.raises(BrokenGeometry, match="1 object is no readable DICOM"):
        await read(files, study_uid("ich-triage"), "ich-triage", tmp_path)


async def test_a_corrupt_file_fails_no_other_study_of_its_folder(tmp_path: Path) -> None:
    """It made each of 57 studies fail once: pydicom lets zlib.error pass."""
    (tmp_path / "0000.dcm").write_bytes(corrupt_deflated())
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        study = head(name)
        volume = await read(as_files(study), str(study[0].StudyInstanceUID), "ich-triage", tmp_path / name)
        assert volume.notes == ()
