"""The external set: one real head CT, with simulated bleeds inserted. Nothing is trained on it.

The head is `Cranium.inv3` of the Debian package `invesalius-examples` (GPL-2; fetched, not committed):
108 slices of 1.5 mm, 256 x 256 pixels of 0.957 mm, rows stored posterior-first; its frontal bone has a defect.
One patient: an interval over its augmented slices is too narrow, and its bleeds are simulated as well.
It is not quite untouched: false alarms of an early network on it (eyes, ears, nape, bone defect) told us what
the phantoms lacked.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from models.zoo.ich.bleed import BleedKind, draw_bleed
from models.zoo.ich.fields import PIXEL_MM, SIZE, Image
from models.zoo.ich.phantom import VISIBLE_MM2, Labels

ndimage: Any = scipy.ndimage  # its names are made at import, where mypy cannot see them

PACKAGE = "invesalius-examples"
SHAPE = (108, 256, 256)
SPACING_MM = (1.5, 0.9570312, 0.9570312)
BRAIN_SLICES = range(40, 97)
DENSE_HU = 95.0  # not 200: a defect of the frontal bone is filled with something less dense
GREY_ABOVE_MEDIAN_HU = 4.0

Volume = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class RealHead:
    """`hu (slices, SIZE, SIZE)` at 2 mm in plane; `depth_mm`, the distance inside the skull (outside < 0)."""

    hu: Volume
    depth_mm: Volume


def fetch(folder: Path) -> Path:
    """Download the Debian package into `folder` and return its example file."""
    subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, check=True, capture_output=True)
    archive = next(folder.glob(f"{PACKAGE}*.deb"))
    subprocess.run(["dpkg-deb", "-x", str(archive), str(folder / "x")], check=True)
    return next((folder / "x").rglob("Cranium.inv3"))


def load(path: Path | None) -> RealHead:
    """Read `Cranium.inv3` (a tar.gz) or its `matrix.dat`; without a path, fetch the package."""
    if path is None:
        with tempfile.TemporaryDirectory() as folder:
            return load(fetch(Path(folder)))
    voxels = np.frombuffer(_matrix(path), dtype="<i2").reshape(SHAPE)
    hu = np.stack([_resample(plane[::-1].astype(np.float32)) for plane in voxels])
    return RealHead(hu, _bridged(np.stack([_depth(plane) for plane in hu])))


def _matrix(path: Path) -> bytes:
    if path.suffix == ".dat":
        return path.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as archive:
        member = next(name for name in archive.getnames() if name.endswith("matrix.dat"))
        content = archive.extractfile(member)
        assert content is not None
        return content.read()


def _resample(plane: Image) -> Image:
    """To 2 mm and SIZE pixels round the same centre: linear, after the blur of the larger pixel."""
    ratio = PIXEL_MM / SPACING_MM[1]
    smooth = ndimage.gaussian_filter(plane, 0.35 * ratio)
    offset = (plane.shape[0] - 1) / 2 - ratio * (SIZE - 1) / 2
    resampled: Image = ndimage.affine_transform(
        smooth, [ratio, ratio], offset=offset, output_shape=(SIZE, SIZE), order=1, cval=-1024
    )
    return resampled


def _depth(hu: Image) -> Image:
    """Distance in mm inside the inner table, by closing the bone and taking the largest soft region in it."""
    bone = ndimage.binary_closing(np.pad(hu > DENSE_HU, 16), iterations=9)[16:-16, 16:-16]
    soft = ndimage.binary_fill_holes(bone) & (hu < 130) & (hu > -30)
    labels, count = ndimage.label(ndimage.binary_opening(soft, iterations=2))
    if count == 0:
        return np.full(hu.shape, -1, np.float32)
    brain = ndimage.binary_fill_holes(labels == np.bincount(labels.ravel())[1:].argmax() + 1)
    inside, outside = ndimage.distance_transform_edt(brain), ndimage.distance_transform_edt(~brain)
    depth: Image = (inside - outside) * PIXEL_MM
    return depth


def _bridged(depth_mm: Volume) -> Volume:
    """Where the closing failed (the bone defect), the depth between the nearest slices where it did not."""
    found = [index for index in range(len(depth_mm)) if (depth_mm[index] > 0).any()]
    for index in range(found[0], found[-1]):
        below = max(k for k in found if k <= index)
        above = min(k for k in found if k >= index)
        share = (index - below) / max(above - below, 1)
        depth_mm[index] = (1 - share) * depth_mm[below] + share * depth_mm[above]
    return depth_mm


@dataclass(frozen=True, slots=True)
class RealCase:
    """A head with (or without) an inserted bleed. `slice_index` is a slice that shows it."""

    hu: Volume
    slice_index: int
    labels: Labels


def insert(head: RealHead, seed: int, *, thick: bool) -> RealCase:
    """Half of the seeds get a bleed. Thick means three slices averaged to one of 4.5 mm."""
    rng = np.random.default_rng(seed)
    kind = BleedKind.NONE
    if rng.random() < 0.5:
        kind = BleedKind.RIM if rng.random() < 0.4 else BleedKind.INTRA_AXIAL
    at = int(rng.choice(BRAIN_SLICES))
    hu, depth = _augmented(rng, head)
    area = _write_bleed(rng, hu, depth, kind, at)
    hu += rng.normal(0, 1, hu.shape).astype(np.float32)
    if thick:
        hu, at = hu.reshape(-1, 3, SIZE, SIZE).mean(1), at // 3
    visible = kind if area >= VISIBLE_MM2 else BleedKind.NONE
    return RealCase(hu, at, Labels(visible, thick, False, False, False, area))


def _augmented(rng: np.random.Generator, head: RealHead) -> tuple[Volume, Volume]:
    """The head turned in plane by some degrees, and mirrored in half of the cases."""
    turn = float(rng.normal(0, 5))
    hu = ndimage.rotate(head.hu, turn, axes=(2, 1), reshape=False, order=1, cval=-1024)
    depth = ndimage.rotate(head.depth_mm, turn, axes=(2, 1), reshape=False, order=1, cval=-1)
    if rng.random() < 0.5:
        hu, depth = hu[:, :, ::-1].copy(), depth[:, :, ::-1].copy()
    return hu, depth


def _write_bleed(rng: np.random.Generator, hu: Volume, depth: Volume, kind: BleedKind, at: int) -> float:
    """Insert a bleed in place; return its area in mm² in slice `at`."""
    if kind is BleedKind.NONE:
        return 0.0
    grey = float(np.median(hu[at][depth[at] > 4])) + GREY_ABOVE_MEDIAN_HU
    bleed = draw_bleed(rng, kind, at * SPACING_MM[0], depth[at], grey)
    area = 0.0
    for index in BRAIN_SLICES:
        inside = bleed.at(index * SPACING_MM[0], depth[index]) & (hu[index] < 90)
        share = ndimage.gaussian_filter(inside.astype(np.float32), 0.5)
        hu[index] += share * (bleed.density_hu - np.minimum(hu[index], bleed.density_hu))
        area = float(inside.sum()) * PIXEL_MM**2 if index == at else area
    return area
