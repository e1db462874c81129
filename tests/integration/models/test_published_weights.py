"""The demo models with their real weights on real images: the figures of their model cards."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from pydicom.data import get_testdata_file

from imaging.finding import Box, ModelStamp, Prediction, Presence
from imaging.volume import Geometry, Volume
from models.base import run
from models.export import export_network
from models.zoo import brain_volume, chest_film_qa
from models.zoo.convert_deepbet import DEEPBET, STAGES
from models.zoo.packages import read_member

CPU = torch.device("cpu")
STAMP = ModelStamp("m", "1", "0" * 64, "us", research_only=True)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def a_volume(voxels: Any, geometry: Geometry, **changes: Any) -> Volume:
    voxels = np.ascontiguousarray(voxels)
    voxels.flags.writeable = False
    whole: dict[str, Any] = {
        "voxels": voxels,
        "geometry": geometry,
        "modality": "MR",
        "body_part": "HEAD",
        "series_uid": "1.1",
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.4",
        "instance_uids": tuple(f"1.2.{index}" for index in range(len(voxels))),
        "inverted": False,
        "evidence": b"",
        "input_digest": "1" * 64,
    }
    return Volume(**(whole | changes))


def axial_brain(nifti: Path) -> Volume:
    """RAS voxels as an axial series: slices upwards, rows to the back, columns to the left."""
    image: Any = nibabel.as_closest_canonical(nibabel.load(nifti))  # type: ignore[no-untyped-call]
    voxels = image.get_fdata(dtype=np.float32).transpose(2, 1, 0)[:, ::-1, ::-1]
    x, y, z = (float(mm) for mm in image.header.get_zooms()[:3])
    return a_volume(voxels, Geometry((z, y, x), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), None))


def sagittal(axial: Volume) -> Volume:
    """The same head as a scanner would store it in sagittal slices from the right to the left."""
    z, y, x = axial.geometry.spacing_mm
    voxels = axial.voxels.transpose(2, 0, 1)[::-1, ::-1]
    lying = Geometry((x, z, y), (0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0), None)
    return a_volume(voxels, lying)


def read_brain(weights: Path, volume: Volume) -> Prediction:
    network, spec = brain_volume.build(weights)
    return run(network, volume, spec, STAMP, device=CPU)[0]


def test_our_networks_answer_as_the_published_ones(weights: Path) -> None:
    """Ours load the tensors; the originals run once more as TorchScript, for the comparison only."""
    network, _ = brain_volume.build(weights)
    wheel = weights.parent / "cache" / DEEPBET.filename
    torch.manual_seed(0)
    batch = torch.randn(1, 1, 64, 64, 64)
    for stage, member in STAGES.items():
        original = torch.jit.load(io.BytesIO(read_member(wheel, member)))  # type: ignore[no-untyped-call]
        with torch.inference_mode():
            assert torch.allclose(network.get_submodule(stage)(batch), original(batch), atol=1e-5)


def test_the_average_brain_has_its_known_volume_in_any_plane(weights: Path, icbm152: Path) -> None:
    """1953 ml with the package itself; thick slices of the same head may differ by 1 %."""
    volume = axial_brain(icbm152)
    read = read_brain(weights, volume)
    assert read.measurements[0].value == pytest.approx(1953.4, abs=1.0)
    across = read_brain(weights, sagittal(volume))
    assert read.mask is not None
    assert across.mask is not None
    assert np.array_equal(across.mask.transpose(1, 2, 0)[::-1, :, ::-1], read.mask)


def test_thick_slices_change_the_volume_by_less_than_one_percent(weights: Path, icbm152: Path) -> None:
    fine = axial_brain(icbm152)
    thick = fine.voxels[: len(fine.voxels) // 5 * 5].reshape(-1, 5, *fine.voxels.shape[1:]).mean(1)
    lying = replace(fine.geometry, spacing_mm=(5.0, *fine.geometry.spacing_mm[1:]))
    read = read_brain(weights, a_volume(thick, lying))
    assert read.measurements[0].value == pytest.approx(1953.4, rel=0.01)


def test_the_exported_brain_graph_gives_the_same_mask(weights: Path, icbm152: Path) -> None:
    network, spec = brain_volume.build(weights)
    graph = export_network(network, spec.input, brain_volume.example_input()).module()
    volume = axial_brain(icbm152)
    exported, _ = run(graph, volume, spec, STAMP, device=CPU)
    eager, _ = run(network, volume, spec, STAMP, device=CPU)
    assert exported.mask is not None
    assert eager.mask is not None
    assert np.array_equal(exported.mask, eager.mask)


def film(name: str) -> Volume:
    """A radiograph of pydicom-data as the reader would hand it over: RG1 states a PixelSpacing of 0."""
    dataset = pydicom.dcmread(str(get_testdata_file(name)))
    flat = Geometry((1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), None)
    return a_volume(
        dataset.pixel_array[None].astype(np.float32),
        flat,
        modality="CR",
        body_part="CHEST",
        inverted=dataset.PhotometricInterpretation == "MONOCHROME1",
    )


def check_film(weights: Path, volume: Volume) -> Prediction:
    network, spec = chest_film_qa.build(weights)
    return run(network, volume, spec, STAMP, device=CPU)[0]


# row start, column start, row stop, column stop, as we outlined the lungs by eye
RIGHT_LUNG_OF_RG1, LEFT_LUNG_OF_RG1 = (153, 164, 1470, 764), (145, 1012, 1497, 1577)


def overlap(box: Box, outline: tuple[int, int, int, int]) -> float:
    """Intersection over union."""
    top, left, bottom, right = outline
    rows = min(box.row_stop, bottom) - max(box.row_start, top)
    columns = min(box.column_stop, right) - max(box.column_start, left)
    shared = max(0, rows) * max(0, columns)
    area = (box.row_stop - box.row_start) * (box.column_stop - box.column_start)
    return shared / (area + (bottom - top) * (right - left) - shared)


def test_a_chest_film_without_spacing_is_known_and_its_lungs_are_boxed(weights: Path) -> None:
    read = check_film(weights, film("RG1_UNCR.dcm"))
    assert read.findings[0].presence is Presence.PRESENT
    right, left = read.boxes
    assert (right.concept, left.concept) == (chest_film_qa.RIGHT_LUNG, chest_film_qa.LEFT_LUNG)
    assert right.column_stop < left.column_stop
    assert overlap(right, RIGHT_LUNG_OF_RG1) > 0.7  # the patient's right is on the left
    assert overlap(left, LEFT_LUNG_OF_RG1) > 0.7


def test_a_leg_is_not_a_chest(weights: Path) -> None:
    read = check_film(weights, film("RG3_UNCR.dcm"))
    assert read.findings[0].presence is Presence.ABSENT
    assert read.boxes == ()


@pytest.mark.parametrize("turn", ["upside down", "on its side"])
def test_a_chest_film_that_hangs_wrong_is_not_passed(weights: Path, turn: str) -> None:
    upright = film("RG1_UNCR.dcm")
    voxels: Any = (
        upright.voxels[:, ::-1] if turn == "upside down" else upright.voxels.transpose(0, 2, 1)[:, ::-1]
    )
    read = check_film(weights, replace(upright, voxels=voxels))
    assert read.findings[0].presence is not Presence.PRESENT
