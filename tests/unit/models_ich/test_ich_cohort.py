"""A cohort is valid studies of nobody: versions read them, the input check knows them, and their truth is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from canary.gates import SitePolicy
from imaging.finding import Presence
from models.input_check.check import check_input
from models.zoo.ich import cohort, versions
from models.zoo.ich.bleed import BleedKind
from models.zoo.ich.cohort import CohortStudy, cohort_head, to_datasets, write_cohort
from models.zoo.ich.cohort_reading import presence, volume_of
from models.zoo.ich.phantom import VISIBLE_MM2, Mixture
from models.zoo.references import reference_of
from serve_apps.application.intended_use import require_intended_use
from serve_apps.cli.truth_file import COLUMNS, read_truths
from tests.cohort import facts_and_volume

PATIENTS = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cohort")


@pytest.fixture(scope="module")
def studies(folder: Path) -> tuple[CohortStudy, ...]:
    return write_cohort(folder, PATIENTS, first=100)


def test_a_number_is_a_patient_and_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_cohort(folder, PATIENTS, first=100)
    write_cohort(tmp_path, 1, first=102)
    once, again = (
        [path.read_bytes() for path in sorted((root / "PHANTOM-000102").iterdir())]
        for root in (folder, tmp_path)
    )
    assert once == again
    assert len(once) == len(cohort.HEIGHTS_MM)


def test_each_patient_has_a_study_of_their_own(studies: tuple[CohortStudy, ...]) -> None:
    assert len({study.study_uid for study in studies}) == PATIENTS
    assert len({study.patient_id for study in studies}) == PATIENTS
    for study in studies:
        images = [pydicom.dcmread(path) for path in sorted(study.folder.iterdir())]
        assert {str(image.StudyInstanceUID) for image in images} == {study.study_uid}
        assert {str(image.PatientID) for image in images} == {study.patient_id}
        assert len({str(image.SOPInstanceUID) for image in images}) == len(images)


def test_the_same_patient_in_another_mixture_is_another_study() -> None:
    thin, thick = (cohort_head(3, Mixture(bleed=0, thick=share)) for share in (0, 1))
    assert to_datasets(thin)[0].StudyInstanceUID != to_datasets(thick)[0].StudyInstanceUID


async def test_production_code_reads_a_stored_study_and_tells_thin_from_thick_by_scanner(
    folder: Path, studies: tuple[CohortStudy, ...]
) -> None:
    _, spec = versions.build(1)
    for study in studies:
        facts, volume = await facts_and_volume(folder, study.study_uid, spec)
        require_intended_use(spec.intended_use, facts, SitePolicy.STRICT)
        assert facts.patient_id == study.patient_id
        assert facts.scanner == study.scanner
        assert study.scanner == (cohort.THICK_SCANNER if study.labels.thick else cohort.THIN_SCANNER)
        assert not check_input(volume, reference_of(versions.NAME)).is_foreign


async def test_the_evaluation_reads_what_production_reads(
    folder: Path, studies: tuple[CohortStudy, ...]
) -> None:
    _, spec = versions.build(1)
    head = cohort_head(101)
    _, stored = await facts_and_volume(folder, studies[1].study_uid, spec)
    made = volume_of(head, spec)
    assert stored.input_digest == made.input_digest
    assert np.array_equal(stored.voxels, made.voxels)
    assert np.array_equal(stored.voxels, head.hu)


def test_the_truth_is_a_table_that_truth_import_takes(folder: Path, studies: tuple[CohortStudy, ...]) -> None:
    lines = read_truths(folder / cohort.TRUTH_FILE)
    assert set(cohort.TRUTH_COLUMNS) <= set(COLUMNS)
    assert {line.study_uid: line.body["label"] for line in lines} == {
        study.study_uid: "present" if study.labels.positive else "absent" for study in studies
    }
    (finding,) = versions.build(1)[1].output.findings
    assert {line.body["finding"] for line in lines} == {f"{finding.concept.value}@{finding.concept.scheme}"}
    assert {line.body["model"] for line in lines} == {versions.NAME}


def test_a_bleed_shows_in_a_slice_and_a_healthy_head_has_none() -> None:
    for number in range(12):
        head = cohort_head(number)
        assert head.labels.positive == bool(head.bleeding.any()) == (head.labels.bleed_mm2 >= VISIBLE_MM2)


@pytest.mark.parametrize(
    ("shares", "kind"),
    [
        (Mixture(bleed=0), BleedKind.NONE),
        (Mixture(bleed=1, rim=1), BleedKind.RIM),
        (Mixture(bleed=1, rim=0), BleedKind.INTRA_AXIAL),
    ],
)
def test_a_mixture_is_obeyed(shares: Mixture, kind: BleedKind) -> None:
    assert {cohort_head(number, shares).labels.kind for number in range(4)} == {kind}


def test_a_version_answers_a_study_or_fails_on_it_each_time() -> None:
    version = versions.build(2)
    volume = volume_of(cohort_head(0), version[1])
    answers = {presence(volume, version) for _ in range(2)}
    assert len(answers) == 1
    assert answers <= set(Presence)
