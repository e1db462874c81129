"""A prediction's mask -> a DICOM Segmentation: BINARY, one segment, empty slices left out. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage

from core.errors import ModelFailed
from imaging.content_uid import UNNAMED, name_by_content
from imaging.finding import Code, ModelStamp, Prediction
from imaging.report_codes import sr_code
from imaging.report_frame import (
    MANUFACTURER,
    ReportContext,
    algorithm_equipment,
    as_source,
    describe,
    encoded_as,
    finish,
    long_string,
    read_header,
    software_version,
    template_of,
    tracking_uid,
)
from imaging.uids import derived_uid
from imaging.volume import Geometry, ImageName

SERIES_NUMBER: Final = 9902
_ANY_STRUCTURE: Final = Code("123037004", "SCT", "Body structure")


def to_seg(
    prediction: Prediction, context: ReportContext, geometry: Geometry, *, created: datetime
) -> Dataset:
    """The mask on its source's own grid. Equal arguments give equal bytes; `created` is the job's own instant.

    The standard lets a segmentation name no predecessor (a document has PS3.3 C.17.2, an image nothing of the kind).
    So a new one stands beside the former in a series of its own; date, description and the report tell them apart.

    Raises ModelFailed when there is no mask, or one of another shape than the series.
    """
    mask = _checked_mask(prediction, context)
    stamp, header = prediction.stamp, read_header(context)
    template = template_of(header)
    filled = _filled_slices(mask)
    segmentation = hd.seg.Segmentation(
        source_images=[*_sources(template, context, geometry, filled)],
        pixel_array=mask[filled].astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(prediction)],
        series_instance_uid=UNNAMED,
        series_number=SERIES_NUMBER,
        sop_instance_uid=UNNAMED,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=software_version(),
        device_serial_number="0",
        omit_empty_frames=False,  # done already
        content_label="AI_SEGMENTATION",
        content_description="Segmentation by an algorithm, unverified",
        content_creator_name=f"{MANUFACTURER}^",
        series_description=describe(stamp, "AI SEG"),
        contributing_equipment=[algorithm_equipment(stamp, created)],
    )
    _name_dimensions(segmentation, context.series_uid)
    if context.frame_numbers:
        _name_frames(segmentation, context)
    finish(segmentation, header, created)
    correct_ambiguous_vr(segmentation, is_little_endian=True)
    name_by_content(segmentation, "seg")
    return segmentation


def _name_dimensions(segmentation: Dataset, series_uid: str) -> None:
    """highdicom draws the UID of the dimensions by lot. All segmentations of a series have the same dimensions."""
    uid = derived_uid("dimensions", series_uid)
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def _name_frames(segmentation: Dataset, context: ReportContext) -> None:
    """Put the frames of multi-frame sources where `_stand_in` named each as an image of its own (PS3.3 10.3)."""
    names = {_stand_in(image): image for image in context.images}
    for groups in segmentation.PerFrameFunctionalGroupsSequence:
        for derivation in groups.get("DerivationImageSequence", ()):
            for source in derivation.SourceImageSequence:
                image = names[source.ReferencedSOPInstanceUID]
                source.ReferencedSOPClassUID = context.sop_class_uid
                source.ReferencedSOPInstanceUID, source.ReferencedFrameNumber = image
    for series in segmentation.ReferencedSeriesSequence:
        uids = [names[item.ReferencedSOPInstanceUID][0] for item in series.ReferencedInstanceSequence]
        series.ReferencedInstanceSequence = [_reference(context, uid) for uid in dict.fromkeys(uids)]


def _reference(context: ReportContext, instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = context.sop_class_uid, instance_uid
    return item


def _stand_in(image: ImageName) -> str:
    """A UID for one image, also where it is a frame: highdicom takes several images or one object with all frames,
    not some frames of perhaps several objects.
    """
    if image.frame is None:
        return image.instance_uid
    return derived_uid("frame", image.instance_uid, str(image.frame))


def _checked_mask(prediction: Prediction, context: ReportContext) -> np.ndarray:
    mask = prediction.mask
    if mask is None:
        raise ModelFailed("the model made no mask")
    if mask.ndim != 3 or len(mask) != len(context.instance_uids):
        raise ModelFailed("the mask does not have one plane for each image of the series")
    return mask


def _filled_slices(mask: np.ndarray) -> np.ndarray:
    """Indices of the slices to store. A segmentation needs a frame, so nothing found is one empty plane."""
    filled = np.flatnonzero(mask.any(axis=(1, 2)))
    return filled if len(filled) else np.array([len(mask) // 2])


def _segment(prediction: Prediction) -> hd.seg.SegmentDescription:
    stamp, concept = prediction.stamp, prediction.mask_concept or _ANY_STRUCTURE
    return hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=concept.meaning,
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=sr_code(concept),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=_algorithm(stamp),
        tracking_uid=tracking_uid(stamp, prediction.series_uid, concept.value),
        tracking_id=long_string(f"{stamp.name}: {concept.value}"),
    )


def _algorithm(stamp: ModelStamp) -> hd.AlgorithmIdentificationSequence:
    return hd.AlgorithmIdentificationSequence(
        name=long_string(stamp.name),
        family=codes.DCM.ArtificialIntelligence,
        version=long_string(stamp.version),
        source=long_string(stamp.manufacturer),
        parameters={"sha256": stamp.digest},
    )


def _sources(
    template: Dataset, context: ReportContext, geometry: Geometry, indices: np.ndarray
) -> Iterator[Dataset]:
    """The images under the mask, as far as highdicom looks at them, placed by the volume's own geometry."""
    images = context.images
    normal = np.cross(geometry.row_cosine, geometry.column_cosine) * geometry.spacing_mm[0]
    for index in indices:
        image = Dataset()
        encoded_as(template, image)
        image.update(template)
        image.update(as_source(template, context, _stand_in(images[index])))
        if context.frame_numbers:
            image.SOPClassUID = CTImageStorage  # by its class, highdicom knows a multi-frame image
        image.update(_place(template, geometry, np.asarray(geometry.origin_mm) + normal * index))
        yield image


def _place(template: Dataset, geometry: Geometry, position: np.ndarray) -> Dataset:
    """Elements of their own: those of the template are shared by all images."""
    place = Dataset()
    place.ImageOrientationPatient = _decimals((*geometry.row_cosine, *geometry.column_cosine))
    place.ImagePositionPatient = _decimals(position)
    place.PixelSpacing = _decimals(geometry.spacing_mm[1:])
    place.SliceThickness = _decimals((geometry.slice_thickness_mm or geometry.spacing_mm[0],))[0]
    if not template.get("FrameOfReferenceUID"):  # the source broke a type 1 rule; our object must not
        place.FrameOfReferenceUID = derived_uid("frame of reference", str(template.SeriesInstanceUID))
    return place


def _decimals(values: object) -> list[float]:
    """Decimal strings have at most 16 characters (PS3.5 6.2)."""
    return [round(float(value), 6) + 0.0 for value in np.asarray(values)]
