"""The external set: one real head CT, with simulated bleeds inserted. Nothing is trained on it.

The head is `Cranium.inv3` of the Debian package `invesalius-examples` (GPL-2; fetched, not committed):
108 slices of 1.5 mm, 256 x 256 pixels of 0.957 mm, rows posterior-first; its frontal bone has a defect.
One patient: an interval over its augmented slices is too narrow, and its bleeds are simulated as well.
It is not quite untouched: false alarms of an early network on it (eyes, ears, nape, bone defect) told us what
the phantoms lacked.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.ndimage
import torch

from models.resample import resize
from models.spec import Interpolation
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
    hu = _resample(voxels[:, ::-1].astype(np.float32))
    return RealHead(hu, _bridged(np.stack([_depth(plane) for plane in hu])))


def _matrix(path: Path) -> bytes:
    if path.suffix == ".dat":
        return path.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as archive:
        member = next(name for name in archive.getnames() if name.endswith("matrix.dat"))
        content = archive.extractfile(member)
        assert content is not None
        return content.read()


def _resample(voxels: Volume) -> Volume:
    """To 2 mm in plane as the platform does it, then air round it up to SIZE pixels."""
    side = round(SHAPE[1] * SPACING_MM[1] / PIXEL_MM)
    small = resize(torch.from_numpy(voxels), (SHAPE[0], side, side), Interpolation.LINEAR).numpy()
    before = (SIZE - side) // 2
    margin = (before, SIZE - side - before)
    return np.pad(small, ((0, 0), margin, margin), constant_values=-1000)


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
    for index in range(found[0], found[-1]) if found else ():
        below = max(k for k in found if k <= index)
        above = min(k for k in found if k >= index)
        share = (index - below) / max(above - below, 1)
        depth_mm[index] = (1 - share) * depth_mm[below] + share * depth_mm[above]
    return depth_mm


@dataclass(frozen=True, slots=True)
class RealCase:
    """Slices `(slices, SIZE, SIZE)` of the head, with or without an inserted bleed."""

    hu: Volume
    labels: Labels


def one_slice(head: RealHead, seed: int, *, thick: bool) -> RealCase:
    """One slice of the brain, 1.5 mm or the mean of three; half of the seeds show a bleed."""
    at = int(np.random.default_rng(seed).choice(BRAIN_SLICES))
    first = at // 3 * 3
    case = _insert(head, seed, range(first, first + 3), at, thick=thick)
    return case if thick else replace(case, hu=case.hu[at - first][None])


def whole_head(head: RealHead, seed: int, *, thick: bool) -> RealCase:
    """The whole head, in slices of 1.5 or 4.5 mm; half of the seeds get a bleed."""
    at = int(np.random.default_rng(seed).choice(BRAIN_SLICES))
    return _insert(head, seed, range(len(head.hu)), at, thick=thick)


def _insert(head: RealHead, seed: int, slices: range, at: int, *, thick: bool) -> RealCase:
    rng = np.random.default_rng((seed, 1))
    kind = BleedKind.NONE
    if rng.random() < 0.5:
        kind = BleedKind.RIM if rng.random() < 0.4 else BleedKind.INTRA_AXIAL
    hu, depth = _augmented(rng, head, slices)
    area = _write_bleed(rng, hu, depth, kind, slices, at)
    hu = np.maximum(hu + rng.normal(0, 1, hu.shape), -1024)  # a scanner's scale ends there
    if thick:
        hu = hu.reshape(-1, 3, SIZE, SIZE).mean(1)
    visible = kind if area >= VISIBLE_MM2 else BleedKind.NONE
    return RealCase(hu, Labels(visible, thick, False, False, False, area))


def _augmented(rng: np.random.Generator, head: RealHead, slices: range) -> tuple[Volume, Volume]:
    """Some slices turned in plane by some degrees, and mirrored in half of the cases."""
    turn, mirror = float(rng.normal(0, 5)), rng.random() < 0.5
    hu, depth = (
        ndimage.rotate(volume[slices.start : slices.stop], turn, (2, 1), reshape=False, order=1, cval=outside)
        for volume, outside in ((head.hu, -1000), (head.depth_mm, -1))
    )
    return (hu[:, :, ::-1].copy(), depth[:, :, ::-1].copy()) if mirror else (hu, depth)


def _write_bleed(
    rng: np.random.Generator, hu: Volume, depth: Volume, kind: BleedKind, slices: range, at: int
) -> float:
    """Insert a bleed that crosses slice `at`, in place; return its area there in mm²."""
    if kind is BleedKind.NONE:
        return 0.0
    here = slices.index(at)
    grey = float(np.median(hu[here][depth[here] > 4])) + GREY_ABOVE_MEDIAN_HU
    bleed = draw_bleed(rng, kind, at * SPACING_MM[0], depth[here], grey)
    area = 0.0
    for k, index in enumerate(slices):
        inside = bleed.at(index * SPACING_MM[0], depth[k]) & (hu[k] < 90)
        share = ndimage.gaussian_filter(inside.astype(np.float32), 0.5)
        hu[k] += share * (bleed.density_hu - np.minimum(hu[k], bleed.density_hu))
        area = float(inside.sum()) * PIXEL_MM**2 if index == at else area
    return area
