"""A small CT study of nobody: a skull with a brain in it. Valid DICOM, made in milliseconds, for tests."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from imaging.samples.writer import SampleIdentity, SampleImage, SampleModality, to_series
from imaging.volume import Geometry

AIR_HU, BRAIN_HU, BONE_HU = -1000, 35, 1100
NOISE_HU = 8.0


def make_ct_study(
    seed: str = "synthetic",
    *,
    study_uid: str | None = None,
    slices: int = 24,
    size: int = 64,
    slice_mm: float = 5.0,
    body_part: str = "HEAD",
    patient: str = "SYNTHETIC^HEAD",
) -> list[Dataset]:
    """One axial series in slice order; equal arguments give equal bytes. Every UID follows from `study_uid`,
    which follows from `seed`. The head is 200 mm high whatever `size` is.

    >>> [dataset.InstanceNumber for dataset in make_ct_study("doc", slices=2, size=8)]
    [1, 2]
    """
    identity = SampleIdentity(
        id=f"synthetic/{seed}",
        patient=patient,
        modality=SampleModality.CT,
        body_part=body_part,
        description="Synthetic head",
        derivation="Computed; no person was imaged.",
        study_uid=study_uid,
    )
    hu = head_phantom(seed, slices, size)
    return list(to_series(identity, SampleImage(hu, _geometry(size, slice_mm), window=(40.0, 80.0))))


def head_phantom(seed: str, slices: int, size: int) -> npt.NDArray[np.int16]:
    """HU `(slices, size, size)`: an ellipsoid of brain in a shell of bone, with noise from the seed."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (slices, size, size)), indexing="ij")
    radius = np.sqrt((x / 0.7) ** 2 + (y / 0.85) ** 2 + (0.6 * z) ** 2)
    hu = np.select([radius < 0.9, radius < 1.0], [BRAIN_HU, BONE_HU], default=AIR_HU).astype(np.float64)
    hu += _generator(seed).normal(0, NOISE_HU, hu.shape)
    return np.clip(np.rint(hu), -1024, 3000).astype(np.int16)


def _generator(seed: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(sha256(seed.encode()).digest()[:8], "big"))


def _geometry(size: int, slice_mm: float) -> Geometry:
    pixel_mm = 240.0 / size
    corner_mm = -pixel_mm * (size - 1) / 2
    return Geometry(
        spacing_mm=(slice_mm, pixel_mm, pixel_mm),
        origin_mm=(corner_mm, corner_mm, 0.0),
        row_cosine=(1.0, 0.0, 0.0),
        column_cosine=(0.0, 1.0, 0.0),
        slice_thickness_mm=slice_mm,
    )
