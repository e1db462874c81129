"""Synthetic and sample studies are DICOM that our own reader takes, the same on every machine."""

from __future__ import annotations

import gzip
import zipfile
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import UID

from imaging.assemble import to_volume
from imaging.encoded import to_part10
from imaging.samples import fetch
from imaging.samples.catalogue import SAMPLES
from imaging.samples.fetch import write_samples
from imaging.samples.images import nifti_mr
from imaging.samples.packages import DebianPackage, PackagedFile, PythonPackage, SampleUnavailable
from imaging.samples.synthetic import BRAIN_HU, make_ct_study
from imaging.samples.writer import SampleIdentity, SampleImage, SampleModality, study_uid, to_series
from imaging.summary import OWN_MANUFACTURER
from imaging.uids import derived_uid
from imaging.volume import Geometry


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_a_derived_uid_is_one(parts: list[str]) -> None:
    uid = UID(derived_uid(*parts))
    assert uid.is_valid
    assert uid == derived_uid(*parts)


@given(st.lists(st.text("ab1:", max_size=4), max_size=4), st.lists(st.text("ab1:", max_size=4), max_size=4))
def test_other_parts_have_another_uid(one: list[str], other: list[str]) -> None:
    assert (derived_uid(*one) == derived_uid(*other)) == (one == other)


def test_a_synthetic_study_is_the_same_for_the_same_seed() -> None:
    first, again = ([to_part10(d) for d in make_ct_study("a", slices=3, size=8)] for _ in range(2))
    assert first == again


def test_another_seed_is_another_study_of_other_pixels() -> None:
    one, other = make_ct_study("a", slices=2, size=8), make_ct_study("b", slices=2, size=8)
    assert not {d.SOPInstanceUID for d in one} & {d.SOPInstanceUID for d in other}
    assert one[0].StudyInstanceUID != other[0].StudyInstanceUID
    assert one[0].PixelData != other[0].PixelData


def test_a_study_uid_can_be_asked_for() -> None:
    assert {d.StudyInstanceUID for d in make_ct_study("a", study_uid="1.2.3", slices=3, size=8)} == {"1.2.3"}


@settings(max_examples=15, deadline=None)
@given(slices=st.integers(2, 9), size=st.integers(4, 24), slice_mm=st.sampled_from([0.625, 1.25, 5.0]))
def test_any_synthetic_study_can_be_read(slices: int, size: int, slice_mm: float) -> None:
    volume = to_volume(make_ct_study("read", slices=slices, size=size, slice_mm=slice_mm)[::-1])
    assert volume.voxels.shape == (slices, size, size)
    assert volume.geometry.spacing_mm[0] == pytest.approx(slice_mm)
    assert volume.geometry.slice_thickness_mm == slice_mm


def test_a_synthetic_head_has_a_brain_in_a_skull() -> None:
    hu = to_volume(make_ct_study("head", slices=9, size=64)).voxels
    assert abs(int(np.median(hu[4, 24:40, 24:40])) - BRAIN_HU) < 5
    assert (hu > 700).any(axis=(1, 2)).all()
    assert -1024 <= hu.min() < -900


def test_no_sample_looks_like_a_result_of_ours() -> None:
    assert not make_ct_study(slices=1, size=4)[0].Manufacturer.lower().startswith(OWN_MANUFACTURER)


# ---- geometry


def nifti(voxels: np.ndarray, affine: np.ndarray) -> bytes:
    return gzip.compress(nibabel.Nifti1Image(voxels, affine).to_bytes())


@given(st.permutations(range(3)), st.tuples(*[st.sampled_from([-1, 1])] * 3))
@settings(max_examples=30, deadline=None)
def test_a_voxel_keeps_its_place_whatever_order_it_was_stored_in(
    order: list[int], signs: tuple[int, ...]
) -> None:
    """One bright voxel 3 mm right, 5 mm anterior, 7 mm superior of the origin, in all 48 orientations."""
    affine = np.zeros((4, 4))
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * (world + 1)  # 1, 2 and 3 mm along right, anterior, superior
    affine[:, 3] = (-10, -20, -30, 1)
    shape = (4, 5, 6)
    at = (1, 2, 3)
    voxels = np.zeros(shape, np.uint8)
    voxels[at] = 255
    world_ras = affine @ (*at, 1)

    image = nifti_mr(nifti(voxels, affine))

    assert image.geometry is not None
    (index,) = np.argwhere(image.stored == 255)
    assert place_of(image.geometry, index) == pytest.approx((-world_ras[0], -world_ras[1], world_ras[2]))


def place_of(geometry: Geometry, index: np.ndarray) -> tuple[float, ...]:
    slice_, row, column = (int(n) for n in index) if len(index) == 3 else index
    between_slices, between_rows, between_columns = geometry.spacing_mm
    normal = np.cross(geometry.row_cosine, geometry.column_cosine)
    place = (
        np.asarray(geometry.origin_mm)
        + slice_ * between_slices * normal
        + row * between_rows * np.asarray(geometry.column_cosine)
        + column * between_columns * np.asarray(geometry.row_cosine)
    )
    return tuple(float(mm) for mm in place)


def test_an_oblique_image_is_refused() -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.1
    with pytest.raises(ValueError, match="oblique"):
        nifti_mr(nifti(np.zeros((3, 3, 3), np.uint8), affine))


@pytest.mark.parametrize("modality", SampleModality)
def test_each_modality_can_be_written_and_read(modality: SampleModality) -> None:
    stored = np.arange(2 * 3 * 4, dtype=np.uint16).reshape(2, 3, 4)
    film = modality is SampleModality.CR
    geometry = Geometry((2.0, 0.5, 0.25), (1.0, 2.0, 3.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 2.0)
    image = SampleImage(stored[:1] if film else stored, None if film else geometry, (10.0, 20.0))
    identity = SampleIdentity("test", "SAMPLE^TEST", modality, "HEAD", "a test")
    volume = to_volume(list(to_series(identity, image)))
    np.testing.assert_array_equal(volume.voxels, image.stored)
    if not film:
        assert volume.geometry == geometry


@pytest.mark.parametrize("inverted", [False, True])
def test_a_film_keeps_its_sense_of_bright_and_dark(inverted: bool) -> None:
    image = SampleImage(np.arange(12, dtype=np.uint16).reshape(1, 3, 4), None, (1.0, 2.0), inverted=inverted)
    identity = SampleIdentity("film", "SAMPLE^TEST", SampleModality.CR, "CHEST", "a test")
    assert to_volume(list(to_series(identity, image))).inverted is inverted


def test_stored_values_of_another_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="int16 or uint16"):
        SampleImage(np.zeros((1, 2, 2), np.float32), None, (0.0, 1.0))  # type: ignore[arg-type]


# ---- the catalogue


def test_each_sample_is_another_study_with_a_sample_s_name() -> None:
    assert len({study_uid(sample.identity) for sample in SAMPLES.values()}) == len(SAMPLES)
    assert all(sample.identity.patient.startswith("SAMPLE^") for sample in SAMPLES.values())
    assert all(len(sample.identity.description) <= 64 for sample in SAMPLES.values())


def test_each_sample_states_its_licence_and_source() -> None:
    assert all(sample.licence and sample.identity.derivation for sample in SAMPLES.values())


def test_a_sample_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="head-ct"):
        write_samples(tmp_path, tmp_path, ["heart-us"], lambda _: None)


def test_study_uids_of_the_samples_never_change() -> None:
    """Other people's notes name them."""
    assert SAMPLES["head-ct"].study_uid == "2.25.142111182079353375866202402843759650911"


# ---- packages


@dataclass(frozen=True)
class NoPackage:
    """A registry that does not answer."""

    label: str = "no-package 1 (a fake)"

    def installed(self, member: str) -> Path:
        return Path("/nowhere") / member

    def archives(self, cache: Path) -> list[Path]:
        return []

    def download(self, folder: Path) -> None:
        raise SampleUnavailable("the registry does not answer")

    def read(self, archive: Path, member: str) -> bytes:
        raise KeyError(member)


def test_what_cannot_be_had_is_said_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = replace(SAMPLES["head-ct"], file=replace(SAMPLES["head-ct"].file, package=NoPackage()))
    there = SAMPLES["head-ct-slice"]
    monkeypatch.setattr(fetch, "SAMPLES", {missing.id: missing, there.id: there})
    said: list[str] = []
    written = write_samples(tmp_path / "samples", tmp_path / "cache", None, said.append)
    assert [sample.id for sample in written] == ["head-ct-slice"]
    assert "sample head-ct is left out: the registry does not answer" in said
    assert not (tmp_path / "samples" / "head-ct").exists()
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_package_with_a_dash_is_found_under_its_wheel_s_name(tmp_path: Path) -> None:
    wheel = tmp_path / "pydicom_data-1.0.0-py3-none-any.whl"
    wheel.touch()
    assert PythonPackage("pydicom-data", "1.0.0").archives(tmp_path) == [wheel]


def test_package_lists_are_updated_once_when_apt_knows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt_get(
        tmp_path, 'case "$*" in *update*) touch $0.updated;; *) test -e $0.updated && touch some_1.deb;; esac'
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    folder = tmp_path / "folder"
    folder.mkdir()
    DebianPackage("some").download(folder)
    assert [path.name for path in folder.iterdir()] == ["some_1.deb"]
    calls = (tmp_path / "calls").read_text().split("\n")
    assert [line.split()[-1] for line in calls if line] == ["some", "update", "some"]


def test_why_apt_failed_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt_get(tmp_path, "echo 'E: not allowed' >&2; exit 100")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(SampleUnavailable, match=r"some.*E: not allowed"):
        DebianPackage("some").download(tmp_path)


def test_a_machine_without_apt_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SampleUnavailable, match="there is no apt-get on this machine"):
        DebianPackage("some").download(tmp_path)


def apt_get(folder: Path, script: str) -> None:
    program = folder / "apt-get"
    program.write_text(f'#!/bin/sh\necho "$*" >> {folder}/calls\n{script}\n')
    program.chmod(0o755)


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "some-1-py3-none-any.whl").write_bytes(b"PK damaged")
    file = PackagedFile(PythonPackage("some", "1"), "some/member", "0" * 64)
    with pytest.raises(SampleUnavailable, match=r"some-1-py3-none-any\.whl is damaged"):
        file.read(tmp_path, lambda _: None)


def test_a_member_that_was_changed_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("some/member", "changed")
    right = PackagedFile(PythonPackage("some", "1"), "some/member", sha256(b"changed").hexdigest())
    assert right.read(tmp_path, lambda _: None) == b"changed"
    with pytest.raises(SampleUnavailable, match="not the file that was reviewed"):
        replace(right, sha256="0" * 64).read(tmp_path, lambda _: None)
