"""An enhanced multi-frame CT or MR (PS3.3 A.36, A.38, A.70, A.71) -> its frames, each like an image of its own.

A frame has the elements of its object, and at the same level what the functional groups say of it (PS3.3 C.7.6.16):
so whoever reads a series of single images reads frames by the same rules, and none of these knows of sequences.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
)

from core.errors import UnsupportedSeries
from imaging.body_region import body_part_of
from imaging.elements import floats, text
from imaging.frame_pixels import FRAME_PIXELS, frame_pixels
from imaging.told_as import told_as

MODALITIES: Final[Mapping[str, str]] = {
    EnhancedCTImageStorage: "CT",
    LegacyConvertedEnhancedCTImageStorage: "CT",
    EnhancedMRImageStorage: "MR",
    LegacyConvertedEnhancedMRImageStorage: "MR",
}
"""The modality of each kind of multi-frame image that is read, by SOP class."""
MOST_FRAMES: Final = 5000

_Elements = dict[BaseTag, DataElement | RawDataElement]
_CONVERTED: Final = ("BodyPartExamined", "ContrastBolusAgent", "ContrastBolusVolume")
_MACROS: Final[Mapping[BaseTag, tuple[BaseTag, ...]]] = {
    Tag(sequence): tuple(map(Tag, keywords))
    for sequence, keywords in {
        "PlanePositionSequence": ("ImagePositionPatient",),
        "PlaneOrientationSequence": ("ImageOrientationPatient",),
        "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
        "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
        "FrameVOILUTSequence": ("WindowCenter", "WindowWidth"),
        "FrameContentSequence": ("StackID", "DimensionIndexValues"),
        "CTImageFrameTypeSequence": ("FrameType",),
        "MRImageFrameTypeSequence": ("FrameType",),
        "FrameAnatomySequence": ("AnatomicRegionSequence",),
        "UnassignedSharedConvertedAttributesSequence": _CONVERTED,
        "UnassignedPerFrameConvertedAttributesSequence": _CONVERTED,
    }.items()
}
_USAGE: Final = Tag("ContrastBolusUsageSequence")
_IMAGE_TYPE, _FRAME_TYPE = Tag("ImageType"), Tag("FrameType")
_BODY_PART: Final = Tag("BodyPartExamined")
_PER_FRAME: Final = Tag("PerFrameFunctionalGroupsSequence")
_SHARED: Final = Tag("SharedFunctionalGroupsSequence")
_PIXEL_DATA: Final = Tag("PixelData")
_SAID_OF_FRAMES_ALONE: Final = frozenset(map(Tag, (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope",
    "RescaleIntercept", "RescaleType", "FrameType", "StackID", "DimensionIndexValues",
)))  # fmt: skip
_OF_THE_OBJECT: Final = _SAID_OF_FRAMES_ALONE | {
    _PER_FRAME, _SHARED, *FRAME_PIXELS, Tag("NumberOfFrames"), Tag("DimensionIndexSequence"),
    Tag("DimensionOrganizationSequence"),
}  # fmt: skip


class Frame(Dataset):
    """One frame as an image; `frame_number` is its number in the object that its UID names, from 1."""

    frame_number: int = 1


def unfolded(images: Sequence[Dataset]) -> tuple[Dataset, ...]:
    """The images with the frames of each enhanced one in its place; one that cannot be unfolded stays whole."""
    if not any(map(_has_frames, images)):
        return tuple(images)
    return tuple(image for whole in images for image in _frames_or_whole(whole))


def why_not_unfolded(image: Dataset) -> str:
    """The reason why a multi-frame image stays whole."""
    try:
        frames_of(image)
    except UnsupportedSeries as error:
        return error.detail
    return "its frames were not unfolded"


def is_multi_frame(image: Dataset) -> bool:
    """Whether an image is one of several frames, or has functional groups."""
    return _has_frames(image) or text(image, "NumberOfFrames") not in ("", "0", "1")


def frames_of(image: Dataset) -> tuple[Frame, ...]:
    """The frames of one volume, as they are stored. Raises UnsupportedSeries: another kind of object, several
    volumes in one, functional groups that are missing or unreadable.
    """
    if text(image, "SOPClassUID") not in MODALITIES:
        raise UnsupportedSeries("multi-frame images of its kind are not supported")
    with told_as(UnsupportedSeries("the functional groups of its frames cannot be read")):
        groups = _groups(image)
        base = _base(image) | _flattened(_only_item(image, _SHARED) or Dataset())
        frames = tuple(_frame(image, base, _flattened(group)) for group in groups)
        for number, (frame, pixels) in enumerate(
            zip(frames, frame_pixels(image, len(frames)), strict=True), 1
        ):
            frame.frame_number = number
            _put_pixels(frame, image, pixels)
        _require_one_volume(image, frames)
    return frames


def _has_frames(image: Dataset) -> bool:
    return image.get_item(_PER_FRAME) is not None


def _frames_or_whole(image: Dataset) -> tuple[Dataset, ...]:
    if not _has_frames(image):
        return (image,)
    try:
        return frames_of(image)
    except UnsupportedSeries:
        return (image,)


def _groups(image: Dataset) -> Sequence[Dataset]:
    """The functional groups of each frame."""
    count = int(text(image, "NumberOfFrames") or 1)
    if count > MOST_FRAMES:
        raise UnsupportedSeries(f"it has more than {MOST_FRAMES} frames")
    groups: Sequence[Dataset] = image[_PER_FRAME].value if _PER_FRAME in image else ()
    if not 0 < count == len(groups):
        raise UnsupportedSeries("it does not have one functional group for each frame")
    return groups


def _base(image: Dataset) -> _Elements:
    """What the frames share of their object: all that is not said of frames by functional groups alone."""
    return {tag: image.get_item(tag) for tag in image.keys() if tag not in _OF_THE_OBJECT}  # noqa: SIM118


def _flattened(groups: Dataset) -> _Elements:
    """What a set of functional groups says of a frame, at one level."""
    elements: _Elements = {}
    for sequence, tags in _MACROS.items():
        if item := _only_item(groups, sequence):
            elements |= {tag: item.get_item(tag) for tag in tags if tag in item}
    if _USAGE in groups:
        elements[_USAGE] = groups[_USAGE]
    return elements


def _only_item(dataset: Dataset, sequence: BaseTag) -> Dataset | None:
    """The item of a sequence that has one at most."""
    items = dataset[sequence].value if sequence in dataset else None
    return items[0] if items else None


def _frame(image: Dataset, base: _Elements, own: _Elements) -> Frame:
    frame = Frame(base | own)
    implicit, little_endian = image.original_encoding
    frame.set_original_encoding(implicit, little_endian, image.original_character_set)
    frame.file_meta = image.file_meta
    if _FRAME_TYPE in frame:
        frame[_IMAGE_TYPE] = DataElement(_IMAGE_TYPE, "CS", frame[_FRAME_TYPE].value)
        del frame[_FRAME_TYPE]
    if not text(frame, "BodyPartExamined") and (part := body_part_of(frame)):
        frame[_BODY_PART] = DataElement(_BODY_PART, "CS", part)
    return frame


def _put_pixels(frame: Frame, image: Dataset, pixels: bytes | memoryview | None) -> None:
    if pixels is not None:
        vr = image.get_item(_PIXEL_DATA).VR
        # typed as bytes in pydicom, which only passes it on
        frame[_PIXEL_DATA] = RawDataElement(_PIXEL_DATA, vr, len(pixels), pixels, 0, False, True)  # type: ignore[arg-type]


# --- one volume, or several? ------------------------------------------------------------------------------


def _require_one_volume(image: Dataset, frames: Sequence[Frame]) -> None:
    """Raises UnsupportedSeries for several stacks, or for frames at one place that a dimension tells apart, such as
    time, echo or diffusion: nobody can tell which of them a model is meant to read.
    """
    stacks = {text(frame, "StackID") for frame in frames} - {""}
    if len(stacks) > 1:
        raise UnsupportedSeries(f"its frames are of {len(stacks)} stacks")
    by_place: dict[tuple[float, ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        by_place[tuple(round(mm, 3) for mm in floats(frame, "ImagePositionPatient"))].append(frame)
    crowded = max(by_place.values(), key=len)
    if len(crowded) > 1 and (differing := [*_differing(image, crowded)]):
        raise UnsupportedSeries(f"it holds several volumes, which differ in {', '.join(differing[:3])}")


def _differing(image: Dataset, frames: Sequence[Frame]) -> Iterator[str]:
    """The dimensions in which frames at one place differ."""
    if len({text(frame, "ImageType") for frame in frames}) > 1:
        yield "FrameType"
    indices = [[*_index_values(frame)] for frame in frames]
    for column, dimension in enumerate(image.get("DimensionIndexSequence") or ()):
        if len({values[column] for values in indices if column < len(values)}) > 1:
            yield keyword_for_tag(dimension.DimensionIndexPointer) or "a private dimension"


def _index_values(frame: Frame) -> Iterator[int]:
    value = frame.get("DimensionIndexValues")
    yield from map(int, value if hasattr(value, "__iter__") else [] if value is None else [value])
