"""What the packaged files are: each of four formats -> voxels in patient order, with their geometry. Pure."""

from __future__ import annotations

import gzip
from io import BytesIO
from typing import Final

import nibabel
import numpy as np
import pydicom

from imaging.samples.packages import read_tar
from imaging.samples.writer import SampleImage
from imaging.volume import Geometry

HEAD: Final = (40.0, 80.0)
LUNG: Final = (-600.0, 1500.0)
BYTES: Final = (127.0, 255.0)
FILM: Final = (15000.0, 30000.0)

_AXIAL_ROW, _AXIAL_COLUMN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
_INVESALIUS_SHAPE: Final = (108, 256, 256)
_INVESALIUS_SPACING_MM: Final = (1.5, 0.9570312, 0.9570312)  # as its main.plist says


def invesalius_head(content: bytes) -> SampleImage:
    """The CT inside InVesalius' Cranium.inv3, a tar archive: HU, its rows stored from posterior to anterior.

    The project file says neither origin nor side: the origin is invented, left and right are as displayed.
    """
    stored = np.frombuffer(read_tar(content, "/matrix.dat"), "<i2").reshape(_INVESALIUS_SHAPE)
    origin_mm = (-0.5 * 255 * _INVESALIUS_SPACING_MM[2], -0.5 * 255 * _INVESALIUS_SPACING_MM[1], 0.0)
    geometry = Geometry(
        _INVESALIUS_SPACING_MM, origin_mm, _AXIAL_ROW, _AXIAL_COLUMN, _INVESALIUS_SPACING_MM[0]
    )
    return SampleImage(np.ascontiguousarray(stored[:, ::-1], np.int16), geometry, HEAD)


def nifti_ct(content: bytes) -> SampleImage:
    voxels, geometry = _nifti(content)
    return SampleImage(np.rint(voxels).astype(np.int16), geometry, LUNG)


def nifti_mr(content: bytes) -> SampleImage:
    """Arbitrary units of 8 bits, kept as they are."""
    voxels, geometry = _nifti(content)
    return SampleImage(np.rint(voxels).astype(np.uint16), geometry, BYTES)


def dicom_ct_slice(content: bytes) -> SampleImage:
    """One axial slice: stored values, rescale and place as they came."""
    source = pydicom.dcmread(BytesIO(content))
    orientation = [float(value) for value in source.ImageOrientationPatient]
    row_mm, column_mm = (float(value) for value in source.PixelSpacing)
    x, y, z = (float(value) for value in source.ImagePositionPatient)
    thickness_mm = float(source.SliceThickness)
    geometry = Geometry(
        spacing_mm=(thickness_mm, row_mm, column_mm),
        origin_mm=(x, y, z),
        row_cosine=(orientation[0], orientation[1], orientation[2]),
        column_cosine=(orientation[3], orientation[4], orientation[5]),
        slice_thickness_mm=thickness_mm,
    )
    rescale = (float(source.RescaleSlope), float(source.RescaleIntercept))
    stored = source.pixel_array[np.newaxis].astype(np.int16)
    return SampleImage(stored, geometry, HEAD, rescale, bits_stored=int(source.BitsStored))


def dicom_film(content: bytes) -> SampleImage:
    """A film whose PixelSpacing of 0.000 is left out, as an unknown one should be."""
    source = pydicom.dcmread(BytesIO(content))
    return SampleImage(
        source.pixel_array[np.newaxis].astype(np.uint16),
        geometry=None,
        window=FILM,
        inverted=source.PhotometricInterpretation == "MONOCHROME1",
        bits_stored=int(source.BitsStored),
    )


def _nifti(content: bytes) -> tuple[np.ndarray, Geometry]:
    """Voxels `(slices, rows, columns)` with rows to posterior and columns to the left (LPS).

    NIfTI axes run to the right, anterior and superior once they are canonical. Raises ValueError when the
    affine is oblique.
    """
    stored = nibabel.Nifti1Image.from_bytes(gzip.decompress(content))
    image = nibabel.as_closest_canonical(stored)  # type: ignore[no-untyped-call]
    matrix = np.asarray(image.affine, float)[:3, :3]
    if not np.allclose(matrix, np.diag(np.diag(matrix)), atol=1e-6):
        raise ValueError("the image is oblique")
    voxels = np.asarray(image.dataobj).transpose(2, 1, 0)[:, ::-1, ::-1]
    x, y, z = (float(mm) for mm in matrix @ (image.shape[0] - 1, image.shape[1] - 1, 0) + image.affine[:3, 3])
    column_mm, row_mm, slice_mm = (float(size) for size in np.diag(matrix))
    geometry = Geometry((slice_mm, row_mm, column_mm), (-x, -y, z), _AXIAL_ROW, _AXIAL_COLUMN, slice_mm)
    return voxels, geometry
