"""Each bad study through the real reader: it is refused with its code, or read with its note."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import BrokenGeometry, SerinusError
from tests.bad_studies import CASES, Case
from tests.bad_studies.case import FILM, Study, as_files, film, head
from tests.bad_studies.objects import corrupt_deflated
from tests.bad_studies.reading import read, study_uid_of

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
async def test_a_bad_study_is_refused_with_its_code_or_read_with_its_note(case: Case, tmp_path: Path) -> None:
    told, detail = None, ""
    notes: tuple[str, ...] = ()
    try:
        notes = (await read(case.files(), study_uid_of(case.model), case.model, tmp_path)).notes
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
    volume = await read(as_files(make()), study_uid_of(model), model, tmp_path)
    assert [note for note in volume.notes if "spacing" not in note] == []


def test_every_case_is_another_one_and_stands_in_the_table() -> None:
    assert len({case.what for case in CASES}) == len(CASES) >= 60
    rows = (ROOT / "docs/bad-input.md").read_text().splitlines()
    told = {tuple(row.split(" | ")[0:3:2]) for row in rows if row.startswith("| ")}
    assert {(f"| {case.what}", f"`{case.code}`" if case.code else "") for case in CASES} <= told


async def test_a_geometry_that_a_junk_object_broke_says_so(tmp_path: Path) -> None:
    files = as_files(head())
    files[12] = b"no DICOM"
    with pytest.raises(BrokenGeometry, match="1 object is no readable DICOM"):
        await read(files, study_uid_of("ich-triage"), "ich-triage", tmp_path)


async def test_a_corrupt_file_fails_no_other_study_of_its_folder(tmp_path: Path) -> None:
    """It made each of 57 studies fail once: pydicom lets zlib.error pass."""
    (tmp_path / "0000.dcm").write_bytes(corrupt_deflated())
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        study = head(name)
        volume = await read(as_files(study), str(study[0].StudyInstanceUID), "ich-triage", tmp_path / name)
        assert volume.notes == ()
