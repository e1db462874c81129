"""Builders of enhanced multi-frame images out of single-frame ones, which they then hold the same as."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import EnhancedCTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian

from tests.ct import SERIES

OF_FRAMES = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope",
    "RescaleIntercept", "RescaleType", "InstanceNumber", "BodyPartExamined",
)  # fmt: skip
REGION = ("69536005", "SCT", "Head")
Groups = Sequence[Dataset]


def enhanced(
    images: Sequence[Dataset], change: Callable[[Dataset, Groups], object] | None = None, **changes: Any
) -> Dataset:
    """One enhanced CT or MR of native images, its frames in their order.

    `changes` are attributes of the object; `change` gets it and the functional groups of its frames.
    """
    first = images[0]
    whole = Dataset()
    whole.update({element.tag: deepcopy(element) for element in first if element.keyword not in OF_FRAMES})
    is_ct = first.Modality == "CT"
    whole.SOPClassUID = EnhancedCTImageStorage if is_ct else EnhancedMRImageStorage
    whole.SOPInstanceUID = SERIES + ".777"
    whole.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    whole.NumberOfFrames = len(images)
    whole.PixelData = b"".join(image.PixelData for image in images)
    whole["PixelData"].VR = "OW"
    whole.SharedFunctionalGroupsSequence = [_shared(first)]
    whole.PerFrameFunctionalGroupsSequence = [_own(image, number) for number, image in enumerate(images, 1)]
    whole.DimensionIndexSequence = [dimension("StackID"), dimension("InStackPositionNumber")]
    whole.file_meta = FileMetaDataset()
    whole.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in changes.items():
        setattr(whole, keyword, value)
    if change is not None:
        change(whole, whole.PerFrameFunctionalGroupsSequence)
    return whole


def dimension(keyword: str) -> Dataset:
    return item(DimensionIndexPointer=Tag(keyword), FunctionalGroupPointer=Tag("FrameContentSequence"))


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def _shared(first: Dataset) -> Dataset:
    region = item(**dict(zip(("CodeValue", "CodingSchemeDesignator", "CodeMeaning"), REGION, strict=True)))
    frame_type = [item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])]
    made = item(
        PixelMeasuresSequence=[item(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness)],
        PlaneOrientationSequence=[item(ImageOrientationPatient=first.ImageOrientationPatient)],
        FrameAnatomySequence=[item(AnatomicRegionSequence=[region], FrameLaterality="U")],
    )
    setattr(made, f"{first.Modality}ImageFrameTypeSequence", frame_type)
    return made


def _own(image: Dataset, number: int) -> Dataset:
    return item(
        FrameContentSequence=[
            item(StackID="1", InStackPositionNumber=number, DimensionIndexValues=[1, number])
        ],
        PlanePositionSequence=[item(ImagePositionPatient=image.ImagePositionPatient)],
        PixelValueTransformationSequence=[
            item(
                RescaleSlope=image.RescaleSlope,
                RescaleIntercept=image.RescaleIntercept,
                RescaleType=image.get("RescaleType", "HU"),
            )
        ],
    )
