"""The instances of one series -> one Volume, in slice order, in the modality's own unit.

Two passes: read the geometry of every slice (values that do not change are decoded once), then convert pixels
straight into one array, on a few threads because NumPy and hashlib release the interpreter there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset

from core.errors import BrokenGeometry, StudyError, UnsupportedSeries
from imaging.decode import (
    LAYOUT_TAGS,
    PixelLayout,
    Pixels,
    modality_values,
    pixel_digest,
    pixel_layout,
    stored_pixels,
    transfer_syntax,
)
from imaging.elements import floats, raw, text
from imaging.evidence import encode_evidence
from imaging.geometry import Floats, check_orientations, stack_slices
from imaging.summary import readable_images
from imaging.volume import Geometry, Volume

PROJECTIONS: Final = frozenset({"CR", "DX", "MG", "PX", "IO", "RF", "XA", "RG"})
"""Modalities whose image is a projection: it needs no position, and its pixel spacing may be unknown."""

_WORKERS: Final = 2
_NO_DIGESTS: Final[Mapping[str, bytes]] = MappingProxyType({})
_INT16: Final = np.iinfo(np.int16)
_NO_POSITION: Final = (0.0, 0.0, 0.0)
_NO_ORIENTATION: Final = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_SHARED_TAGS: Final = (
    *LAYOUT_TAGS, "PixelSpacing", "ImagerPixelSpacing", "RescaleSlope", "RescaleIntercept",
    "SliceThickness", "ImageOrientationPatient",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the slices of a series share, most often. `spacing_mm` is (between rows, between columns)."""

    pixels: PixelLayout
    spacing_mm: tuple[float, float] | None
    imager_spacing_mm: tuple[float, float] | None
    slope: float
    intercept: float
    inverted: bool
    thickness_mm: float | None
    orientation: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class _Slice:
    dataset: Dataset
    layout: _Layout
    position: tuple[float, ...] | None


def to_volume(
    datasets: Sequence[Dataset],
    *,
    max_gap_ratio: float = 0.02,
    pixel_digests: Mapping[str, bytes] = _NO_DIGESTS,
) -> Volume:
    """Sort, check, decode and rescale one series; localizers in it are left out.

    Voxels are int16 when that loses nothing, else float32. Raises BrokenGeometry (gap, tilt, duplicate
    position, mixed size, spacing or orientation, missing position or spacing), UnsupportedSeries (colour,
    multi-frame), UndecodablePixels, StudyError. A projection without a usable PixelSpacing takes
    ImagerPixelSpacing, else 1.0 mm; either is said in `notes`. `pixel_digests`, by instance, are those an
    archive already made (`StudyInstances.pixel_digests`); the others are made here.
    """
    slices = _read_slices(datasets)
    ordered, geometry, notes = _arrange(slices, max_gap_ratio)
    voxels, digests = _convert(ordered, pixel_digests)
    first = ordered[0].dataset
    instance_uids = tuple(text(item.dataset, "SOPInstanceUID") for item in ordered)
    return Volume(
        voxels=voxels,
        geometry=geometry,
        modality=text(first, "Modality"),
        body_part=text(first, "BodyPartExamined"),
        series_uid=text(first, "SeriesInstanceUID"),
        sop_class_uid=text(first, "SOPClassUID"),
        instance_uids=instance_uids,
        inverted=ordered[0].layout.inverted,
        evidence=encode_evidence(first),
        input_digest=_input_digest(instance_uids, digests),
        notes=notes,
    )


# --- geometry -------------------------------------------------------------------------------------------


def _read_slices(datasets: Sequence[Dataset]) -> list[_Slice]:
    images = readable_images(datasets)
    if not images:
        raise UnsupportedSeries("the series holds no image")
    known: dict[tuple[object, ...], _Layout] = {}
    return [_read_slice(dataset, known) for dataset in images]


def _read_slice(dataset: Dataset, known: dict[tuple[object, ...], _Layout]) -> _Slice:
    key = (transfer_syntax(dataset), *(raw(dataset, keyword) for keyword in _SHARED_TAGS))
    try:
        if key not in known:
            known[key] = _read_layout(dataset)
        return _Slice(dataset, known[key], _floats(dataset, "ImagePositionPatient", 3))
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError):
        raise StudyError("an image lacks a required attribute, or holds one that is not a number") from None


def _read_layout(dataset: Dataset) -> _Layout:
    return _Layout(
        pixels=pixel_layout(dataset),
        spacing_mm=_spacing(dataset, "PixelSpacing"),
        imager_spacing_mm=_spacing(dataset, "ImagerPixelSpacing"),
        slope=_number(dataset, "RescaleSlope", 1.0),
        intercept=_number(dataset, "RescaleIntercept", 0.0),
        inverted=text(dataset, "PhotometricInterpretation") == "MONOCHROME1",
        thickness_mm=_number(dataset, "SliceThickness", 0.0) or None,
        orientation=_floats(dataset, "ImageOrientationPatient", 6),
    )


def _number(dataset: Dataset, keyword: str, default: float) -> float:
    return next(iter(floats(dataset, keyword)), default)


def _floats(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """So many decimals; None when absent or blank. Raises ValueError on another number of them."""
    values = floats(dataset, keyword)
    if len(values) not in (0, count):
        raise ValueError(keyword)
    return values or None


def _spacing(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    """A spacing that can be one: two positive numbers. (The film RG1 of pydicom-data says 0.000.)"""
    values = _floats(dataset, keyword, 2)
    if values is None or not all(0 < value < 1e4 for value in values):
        return None
    return values[0], values[1]


def _arrange(slices: list[_Slice], max_gap_ratio: float) -> tuple[list[_Slice], Geometry, tuple[str, ...]]:
    _check_uniform(slices)
    spacing_mm, notes = _pixel_spacing(slices)
    positions, orientations = _placed(slices)
    row, column = check_orientations(orientations)
    stack = stack_slices(positions, np.cross(row, column), max_gap_ratio)
    ordered = [slices[index] for index in stack.order]
    thickness_mm = ordered[0].layout.thickness_mm
    geometry = Geometry(
        spacing_mm=(stack.spacing_mm or thickness_mm or 1.0, *spacing_mm),
        origin_mm=_triple(positions[stack.order[0]]),
        row_cosine=_triple(row),
        column_cosine=_triple(column),
        slice_thickness_mm=thickness_mm,
    )
    return ordered, geometry, notes


def _triple(values: Floats) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _check_uniform(slices: list[_Slice]) -> None:
    layouts = {item.layout for item in slices}
    sizes = sorted({(layout.pixels.rows, layout.pixels.columns) for layout in layouts})
    if len(sizes) > 1:
        listed = " and ".join(f"{rows} x {columns}" for rows, columns in sizes[:3])
        raise BrokenGeometry(f"images of {listed} pixels in one series")
    if len({layout.inverted for layout in layouts}) > 1:
        raise BrokenGeometry("MONOCHROME1 and MONOCHROME2 images in one series")


def _pixel_spacing(slices: list[_Slice]) -> tuple[tuple[float, float], tuple[str, ...]]:
    spacings = [item.layout.spacing_mm for item in slices]
    usable = [spacing for spacing in spacings if spacing is not None]
    if len(usable) < len(spacings):
        return _projection_spacing(slices)
    spread_mm = float(np.ptp(np.array(usable), axis=0).max())
    if spread_mm > 1e-3 * max(usable[0]):
        raise BrokenGeometry(f"pixel spacings differ by {spread_mm:.4f} mm in one series")
    return usable[0], ()


def _projection_spacing(slices: list[_Slice]) -> tuple[tuple[float, float], tuple[str, ...]]:
    if text(slices[0].dataset, "Modality") not in PROJECTIONS:
        raise BrokenGeometry("the pixel spacing is missing, or not above 0 mm")
    imager_mm = slices[0].layout.imager_spacing_mm
    if imager_mm is not None:
        return imager_mm, ("pixel spacing is that of the detector, not of the patient",)
    return (1.0, 1.0), ("pixel spacing is unknown; 1.0 mm is assumed, so no length may be measured",)


def _placed(slices: list[_Slice]) -> tuple[Floats, Floats]:
    """Positions `(n, 3)` and orientations `(n, 6)`. Only a single image may lack them."""
    placed = [item for item in slices if item.position and item.layout.orientation]
    if not placed and len(slices) == 1:
        return np.array([_NO_POSITION]), np.array([_NO_ORIENTATION])
    if len(placed) < len(slices):
        lacking = len(slices) - len(placed)
        raise BrokenGeometry(f"{lacking} of {len(slices)} slices have no position or orientation")
    positions = np.array([item.position for item in placed], dtype=np.float64)
    return positions, np.array([item.layout.orientation for item in placed], dtype=np.float64)


# --- pixels ---------------------------------------------------------------------------------------------


def _convert(slices: list[_Slice], known: Mapping[str, bytes]) -> tuple[Any, list[bytes]]:
    """Voxels `(slices, rows, columns)` and the digest of each slice's stored pixels."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        stored = list(pool.map(_stored, slices))
        digests = pool.map(partial(_digest, known), slices, stored)
        planes = list(pool.map(_plane, slices, stored))
        dtype = np.int16 if all(map(_fits_int16, slices, planes)) else np.float32
        layout = slices[0].layout.pixels
        voxels = np.empty((len(slices), layout.rows, layout.columns), dtype)
        list(pool.map(_fill, voxels, slices, planes))
        return voxels, list(digests)


def _stored(item: _Slice) -> Pixels:
    return stored_pixels(item.dataset, item.layout.pixels)


def _digest(known: Mapping[str, bytes], item: _Slice, stored: Pixels) -> bytes:
    return known.get(text(item.dataset, "SOPInstanceUID")) or pixel_digest(item.dataset, stored)


def _plane(item: _Slice, stored: Pixels) -> Pixels:
    """Stored values, or those of a Modality LUT table."""
    values = modality_values(item.dataset, stored)
    return stored if values is None else values


def _rescale(item: _Slice) -> tuple[float, float]:
    """Slope and intercept; a table in their place has been applied already."""
    if "ModalityLUTSequence" in item.dataset:
        return 1.0, 0.0
    return item.layout.slope, item.layout.intercept


def _fits_int16(item: _Slice, plane: Pixels) -> bool:
    slope, intercept = _rescale(item)
    if plane.dtype.kind not in "iu" or not (slope.is_integer() and intercept.is_integer()):
        return False
    if (slope, intercept) == (1.0, 0.0) and np.can_cast(plane.dtype, np.int16):
        return True
    ends = (float(plane.min()) * slope + intercept, float(plane.max()) * slope + intercept)
    return _INT16.min <= min(ends) and max(ends) <= _INT16.max


def _fill(target: Any, item: _Slice, plane: Pixels) -> None:
    slope, intercept = _rescale(item)
    if (slope, intercept) == (1.0, 0.0):
        np.copyto(target, plane, casting="unsafe")
    elif target.dtype == np.int16 and slope == 1.0 and plane.dtype.itemsize == 2 and plane.dtype.isnative:
        # modulo 2**16, and still exact: every sum fits, or `_fits_int16` had not said so
        np.add(plane.view(np.int16), np.array(int(intercept) & 0xFFFF, np.uint16).view(np.int16), out=target)
    elif target.dtype == np.int16:
        np.copyto(target, plane.astype(np.int32) * int(slope) + int(intercept), casting="unsafe")
    else:
        np.copyto(target, plane.astype(np.float64) * slope + intercept, casting="unsafe")


def _input_digest(instance_uids: Sequence[str], digests: Sequence[bytes]) -> str:
    """sha256 over UID and BLAKE3 of stored pixels, slice by slice: the same study from any source, the same."""
    whole = hashlib.sha256()
    for uid, digest in zip(instance_uids, digests, strict=True):
        whole.update(uid.encode() + b"\0" + digest)
    return whole.hexdigest()
