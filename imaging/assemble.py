"""The instances of one series -> one Volume, in slice order, in the modality's own unit.

Two passes: read the geometry of every slice (values that do not change are decoded once), then convert pixels
straight into one array, on a few threads because NumPy and hashlib release the interpreter there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from core.errors import (
    BrokenGeometry,
    ConstantPixels,
    MixedPatients,
    PixelsTooLarge,
    StudyError,
    UnsupportedSeries,
)
from imaging.colour import PALETTE, palette_colours
from imaging.decode import Pixels, modality_values, pixel_digest, stored_pixels
from imaging.elements import floats, raw, text
from imaging.enhanced import Frame
from imaging.evidence import encode_evidence
from imaging.geometry import Floats, check_orientations, check_plausible, stack_slices
from imaging.pixel_layout import LAYOUT_TAGS, PixelLayout, pixel_layout, transfer_syntax
from imaging.pixel_limits import PixelLimits
from imaging.rescale import RESCALE_TAGS, Rescale, read_rescale
from imaging.summary import check_kind, readable_images
from imaging.told_as import told_as
from imaging.volume import Geometry, Volume

PROJECTIONS: Final = frozenset({"CR", "DX", "MG", "PX", "IO", "RF", "XA", "RG"})
"""Modalities whose image is a projection: it needs no position, and its pixel spacing may be unknown."""

_WORKERS: Final = 2
_NO_DIGESTS: Final[Mapping[str, bytes]] = MappingProxyType({})
_LIMITS: Final = PixelLimits()
_THICKEST_MM: Final = 1000.0
_UID: Final = re.compile(r"\d[\d.]{0,63}", re.ASCII)  # with the leading zeros that some scanners write
_PROBES: Final = 16  # rows and columns of an image that are looked at before all of it is
_NO_POSITION: Final = (0.0, 0.0, 0.0)
_NO_ORIENTATION: Final = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_SHARED_TAGS: Final = tuple(map(Tag, (
    *LAYOUT_TAGS, *RESCALE_TAGS, "Modality", "SOPClassUID", "PixelSpacing", "ImagerPixelSpacing",
    "SliceThickness", "ImageOrientationPatient",
)))  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the slices of a series share, most often. `spacing_mm` is (between rows, between columns)."""

    pixels: PixelLayout
    spacing_mm: tuple[float, float] | None
    imager_spacing_mm: tuple[float, float] | None
    rescale: Rescale
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
    limits: PixelLimits = _LIMITS,
    notes: tuple[str, ...] = (),
) -> Volume:
    """Sort, check, decode and rescale one series, of single images or of frames; localizers in it are left out.

    Voxels are int16 when that loses nothing, else float32. Raises BrokenGeometry (gap, tilt, duplicate
    position, mixed size, spacing or orientation, missing position or spacing), UnsupportedSeries (frames of no
    one volume, grey mixed with colour), PixelsTooLarge before anything is decoded, and the other kinds of
    StudyError. A projection or an image in colour without a usable PixelSpacing takes ImagerPixelSpacing, else
    1.0 mm; either is said in the volume's notes, behind those given. `pixel_digests`, by instance, are those an
    archive already made (`StudyInstances.pixel_digests`); the others are made here.
    """
    slices = _read_slices(datasets)
    notes = (*notes, *_left_out(datasets))
    _check_size(slices, limits)
    try:
        ordered, geometry, said = _arrange(slices, max_gap_ratio)
    except BrokenGeometry as error:  # what was left out may be what is missing
        raise type(error)("; ".join((error.detail, *notes))) from None
    voxels, digests, blank = _convert(ordered, pixel_digests)
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
        notes=(*notes, *said, *blank),
        frame_numbers=tuple(item.dataset.frame_number for item in ordered if isinstance(item.dataset, Frame)),
    )


def declared_bytes(images: Sequence[Dataset]) -> int:
    """What a series decodes to, by the header of its first image; 0 where that cannot be read.

    `to_volume` refuses, before it decodes anything, what cannot be read and what is of several sizes.
    """
    if not images:
        return 0
    try:
        with told_as(StudyError("the image does not describe its pixels")):
            return pixel_layout(images[0]).decoded_bytes * len(images)
    except StudyError:
        return 0


# --- headers -------------------------------------------------------------------------------------------


def _read_slices(datasets: Sequence[Dataset]) -> list[_Slice]:
    images = readable_images(datasets)
    if not images:
        raise UnsupportedSeries("the series holds no image")
    _refuse_mixture(images)
    uids = [text(images[0], keyword) for keyword in ("StudyInstanceUID", "SeriesInstanceUID")]
    uids += [text(dataset, "SOPInstanceUID") for dataset in images]
    if not all(map(_UID.fullmatch, uids)):
        raise StudyError("an image has no UIDs by which a report could name it")
    if len({text(dataset, "PatientID") for dataset in images}) > 1:
        raise MixedPatients("the images of the series name different patients")
    known: dict[tuple[object, ...], _Layout] = {}
    return [_read_slice(dataset, known) for dataset in images]


def _refuse_mixture(images: Sequence[Dataset]) -> None:
    """A report names all images of a series by their frames, or none, and as of one class."""
    frames = [image for image in images if isinstance(image, Frame)]
    if frames and (len(frames) < len(images) or len({text(frame, "SOPClassUID") for frame in frames}) > 1):
        raise UnsupportedSeries(
            "the series holds single-frame and multi-frame images, or several kinds of these"
        )


def _left_out(datasets: Sequence[Dataset]) -> tuple[str, ...]:
    count = sum("Rows" not in dataset for dataset in datasets)
    return (
        (f"{count} of {len(datasets)} objects of the series hold no image, and are left out",)
        if count
        else ()
    )


def _read_slice(dataset: Dataset, known: dict[tuple[object, ...], _Layout]) -> _Slice:
    key = (transfer_syntax(dataset), "ModalityLUTSequence" in dataset, raw(dataset, _SHARED_TAGS))
    with told_as(StudyError("an image lacks a required attribute, or holds one that is not a number")):
        if key not in known:
            known[key] = _read_layout(dataset)
        return _Slice(dataset, known[key], _floats(dataset, "ImagePositionPatient", 3))


def _read_layout(dataset: Dataset) -> _Layout:
    check_kind(dataset)
    pixels = pixel_layout(dataset)
    thickness_mm = _number(dataset, "SliceThickness", 0.0)
    return _Layout(
        pixels=pixels,
        spacing_mm=_spacing(dataset, "PixelSpacing"),
        imager_spacing_mm=_spacing(dataset, "ImagerPixelSpacing"),
        rescale=read_rescale(dataset),
        inverted=pixels.photometric == "MONOCHROME1",
        thickness_mm=thickness_mm if 0 < thickness_mm <= _THICKEST_MM else None,
        orientation=_floats(dataset, "ImageOrientationPatient", 6),
    )


def _check_size(slices: list[_Slice], limits: PixelLimits) -> None:
    """Raises PixelsTooLarge for what the headers declare, so that no decoder is asked for it."""
    sizes = [item.layout.pixels.decoded_bytes for item in slices]
    if max(sizes) > limits.image_bytes:
        raise PixelsTooLarge(f"an image decodes to more than {limits.image_bytes / 2**20:.0f} MiB")
    if sum(sizes) > limits.study_bytes:
        raise PixelsTooLarge(f"the images decode to more than {limits.study_bytes / 2**20:.0f} MiB")


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
    pixels = slices[0].layout.pixels
    check_plausible(positions, spacing_mm, None if notes else (pixels.rows, pixels.columns))
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
    if len({layout.pixels.is_colour for layout in layouts}) > 1:
        raise UnsupportedSeries("the series holds images in colour and in shades of grey")
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
    if text(slices[0].dataset, "Modality") not in PROJECTIONS and not slices[0].layout.pixels.is_colour:
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


def _convert(slices: list[_Slice], known: Mapping[str, bytes]) -> tuple[Any, list[bytes], tuple[str, ...]]:
    """Voxels `(slices, rows, columns)`, of colours `(…, 3)`, the digest of each slice's stored pixels, and notes."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        stored = list(pool.map(_stored, slices))
        digests = pool.map(partial(_digest, known), slices, stored)
        notes = _check_contents(list(pool.map(_is_constant, stored)), text(slices[0].dataset, "Modality"))
        planes = list(pool.map(_plane, slices, stored))
        dtype = np.int16 if all(map(_fits_int16, slices, planes)) else np.float32
        layout = slices[0].layout.pixels
        parts = (3,) if layout.is_colour else ()
        voxels = np.empty((len(slices), layout.rows, layout.columns, *parts), dtype)
        list(pool.map(_fill, voxels, slices, planes))
        return voxels, list(digests), notes


def _stored(item: _Slice) -> Pixels:
    return stored_pixels(item.dataset, item.layout.pixels)


def _digest(known: Mapping[str, bytes], item: _Slice, stored: Pixels) -> bytes:
    return known.get(text(item.dataset, "SOPInstanceUID")) or pixel_digest(item.dataset, stored)


def _is_constant(stored: Pixels) -> bool:
    """Whether an image holds one value throughout; of an honest one, a few pixels tell that it does not."""
    rows, columns = stored.shape[:2]
    if (stored[rows // 2, columns // 2] != stored[0, 0]).any():
        return False
    probes = stored[:: -(-rows // _PROBES), :: -(-columns // _PROBES)]
    return not (probes != stored[0, 0]).any() and not (stored != stored[0, 0]).any()


def _check_contents(constant: list[bool], modality: str) -> tuple[str, ...]:
    """A note on images of one value, which an average or a stripped brain may have.

    Raises ConstantPixels when all are, or one of a CT between others: no scanner makes these.
    """
    if all(constant):
        raise ConstantPixels("the images hold one value throughout")
    start, stop = constant.index(False), len(constant) - constant[::-1].index(False)
    inside = sum(constant[start:stop])
    if inside and modality == "CT":
        raise ConstantPixels(f"{inside} of {len(constant)} images, between others, hold one value throughout")
    count = sum(constant)
    return (f"{count} of {len(constant)} images hold one value throughout",) if count else ()


def _plane(item: _Slice, stored: Pixels) -> Pixels:
    """Stored values, or those of a Modality LUT table, or the colours of a palette."""
    if item.layout.pixels.photometric == PALETTE:
        return palette_colours(item.dataset, stored)
    values = modality_values(item.dataset, stored)
    return stored if values is None else values


def _fits_int16(item: _Slice, plane: Pixels) -> bool:
    return item.layout.rescale.fits_int16(plane)


def _fill(target: Any, item: _Slice, plane: Pixels) -> None:
    item.layout.rescale.fill(target, plane)


def _input_digest(instance_uids: Sequence[str], digests: Sequence[bytes]) -> str:
    """sha256 over UID and BLAKE3 of stored pixels, slice by slice: the same study from any source, the same."""
    whole = hashlib.sha256()
    for uid, digest in zip(instance_uids, digests, strict=True):
        whole.update(uid.encode() + b"\0" + digest)
    return whole.hexdigest()
