"""A prediction as a content tree: TID 1500 Imaging Measurement Report (PS3.16), built with highdicom.

Imaging Measurement Report
├── language, device observer (TID 1004), procedure reported
├── Image Library: the key images (TID 1600)
└── Imaging Measurements
    ├── the study as a whole: summary, input check, priority score, urgency, status (TID 1501)
    ├── one group per finding: presence, urgency, certainty, key image (TID 1501)
    ├── one group with what was measured (TID 1501)
    └── one group per box: its outline on its image (TID 1410)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import Any, Final

import highdicom.sr as sr
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as SrCode

from core.errors import ModelFailed
from imaging import report_codes as words
from imaging.finding import Box, Code, Finding, Measurement, ModelStamp, Prediction, Presence, Urgency
from imaging.report_frame import ReportContext, device_uid, tracking_uid
from imaging.volume import ImageName

TITLE: Final = codes.DCM.ImagingMeasurementReport
_CONTAINS = sr.RelationshipTypeValues.CONTAINS
_ACQUISITION = sr.RelationshipTypeValues.HAS_ACQ_CONTEXT
_PIXELS = SrCode("{pixels}", "UCUM", "Pixels")
Group = sr.MeasurementsAndQualitativeEvaluations | sr.PlanarROIMeasurementsAndQualitativeEvaluations


def content_of(prediction: Prediction, context: ReportContext, header: Dataset) -> sr.MeasurementReport:
    """Raises ModelFailed when a number is not finite or an image is not of the series."""
    require_sound(prediction, context)
    images = key_images(prediction)
    groups = [
        _study_group(prediction),
        *_finding_groups(prediction, context),
        *_measured_group(prediction),
        *_box_groups(prediction, context),
    ]
    report = _report(prediction.stamp, context, groups)
    if images:
        report[0].ContentSequence.insert(-1, _image_library(images, context, header))
    return report


def failure_content(stamp: ModelStamp, context: ReportContext, reason: str) -> sr.MeasurementReport:
    """The report of a version that did not get through; `reason` holds no patient datum."""
    group = _group(
        stamp,
        context.series_uid,
        "study",
        finding_type=words.SUMMARY,
        qualitative_evaluations=[*_status(stamp), _says(words.SUMMARY, words.NOTHING_SUCCEEDED)],
    )
    _comment(group, [reason])
    return _report(stamp, context, [group])


def require_sound(prediction: Prediction, context: ReportContext) -> None:
    """Raises ModelFailed when an image that is pointed at is not of the series."""
    if not set(key_images(prediction)) <= set(context.images):
        raise ModelFailed("the model points at an image that is not of the series it read")


def key_images(prediction: Prediction) -> tuple[ImageName, ...]:
    """The images a reader should see, each once."""
    named = [image for finding in prediction.findings if (image := key_image(finding))]
    return tuple(
        dict.fromkeys([*named, *(ImageName(box.instance_uid, box.frame) for box in prediction.boxes)])
    )


def key_image(finding: Finding) -> ImageName | None:
    """The image that speaks most for the finding."""
    uid = finding.key_instance_uid
    return None if uid is None else ImageName(uid, finding.key_frame)


def _report(stamp: ModelStamp, context: ReportContext, groups: Sequence[Group]) -> sr.MeasurementReport:
    observer = sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(stamp),
        name=stamp.name,
        manufacturer_name=stamp.manufacturer,
        model_name=f"{stamp.name} {stamp.version}",
        serial_number=stamp.digest,
    )
    return sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_device_context=sr.ObserverContext(codes.DCM.Device, observer)
        ),
        procedure_reported=words.procedure(context.modality),
        imaging_measurements=groups,
        title=TITLE,
    )


def _study_group(prediction: Prediction) -> Group:
    stamp, score = prediction.stamp, prediction.priority_score
    measured = [] if score is None else [sr.Measurement(words.PRIORITY_SCORE, score, words.SCORE_UNIT)]
    group = _group(
        stamp,
        prediction.series_uid,
        "study",
        finding_type=words.SUMMARY,
        measurements=measured,
        qualitative_evaluations=[
            *_status(stamp),
            _says(words.SUMMARY, _summary(prediction)),
            _says(words.INPUT_CHECK, words.INPUT_CHECK_VALUES[prediction.input_check.verdict]),
            *_urgency(prediction.urgency),
        ],
    )
    _comment(group, prediction.notes)
    return group


def _summary(prediction: Prediction) -> SrCode:
    """Only what is ABSENT throughout is without findings: an undetermined one is not a negative, and neither is
    silence on an input that the version does not know.
    """
    is_positive = any(finding.presence is not Presence.ABSENT for finding in prediction.findings)
    if is_positive or prediction.measurements or prediction.boxes:
        return words.WITH_FINDINGS
    return words.NOTHING_SUCCEEDED if prediction.input_check.is_foreign else words.WITHOUT_FINDINGS


def _status(stamp: ModelStamp) -> Iterator[sr.QualitativeEvaluation]:
    if stamp.research_only:
        yield _says(words.RESULT_STATUS, words.RESEARCH_ONLY)
    yield _says(words.RESULT_STATUS, words.UNREVIEWED)


def _finding_groups(prediction: Prediction, context: ReportContext) -> Iterator[Group]:
    for number, finding in enumerate(prediction.findings, 1):
        yield _finding_group(prediction, finding, number, context)


def _finding_group(prediction: Prediction, finding: Finding, number: int, context: ReportContext) -> Group:
    return _group(
        prediction.stamp,
        prediction.series_uid,
        finding.concept.value,
        number,
        parameters=[f"threshold={finding.threshold:g}"],
        finding_type=words.sr_code(finding.concept),
        finding_sites=_sites(finding.site),
        measurements=_certainty(prediction, finding),
        qualitative_evaluations=[
            _says(words.PRESENCE, words.PRESENCE_VALUES[finding.presence]),
            *_urgency(finding.urgency),
        ],
        source_images=_source_images(finding, context),
    )


def _certainty(prediction: Prediction, finding: Finding) -> list[sr.Measurement]:
    """How sure a version is of an input that it does not know says nothing."""
    probability = percent(finding.probability)
    if prediction.input_check.is_foreign:
        return []
    return [sr.Measurement(words.CERTAINTY, probability, words.PERCENT)]


def _measured_group(prediction: Prediction) -> Iterator[Group]:
    if not prediction.measurements:
        return
    concept = prediction.mask_concept
    yield _group(
        prediction.stamp,
        prediction.series_uid,
        "measurements",
        finding_type=None if concept is None else words.sr_code(concept),
        measurements=[_measurement(item) for item in prediction.measurements],
    )


def _measurement(item: Measurement) -> sr.Measurement:
    return sr.Measurement(
        words.sr_code(item.concept),
        rounded(item.value),
        words.sr_code(item.unit),
        finding_sites=_sites(item.site),
    )


def _box_groups(prediction: Prediction, context: ReportContext) -> Iterator[Group]:
    for number, box in enumerate(prediction.boxes, 1):
        yield sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=_tracking(prediction.stamp, prediction.series_uid, f"box {number}", number),
            referenced_region=_outline(box, context),
            finding_type=words.sr_code(box.concept),
            algorithm_id=_algorithm(prediction.stamp, ()),
        )


def _outline(box: Box, context: ReportContext) -> sr.ImageRegion:
    """Closed, so that it is a region and not a line; (column, row) from the corner of the first pixel."""
    left, top, right, bottom = box.column_start, box.row_start, box.column_stop, box.row_stop
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return sr.ImageRegion(
        graphic_type=sr.GraphicTypeValues.POLYLINE,
        graphic_data=np.array(corners, float),
        source_image=sr.SourceImageForRegion(
            context.sop_class_uid, box.instance_uid, _frames(ImageName(box.instance_uid, box.frame))
        ),
    )


def _group(
    stamp: ModelStamp,
    series_uid: str,
    concept: str,
    number: int = 1,
    *,
    parameters: Sequence[str] = (),
    **content: Any,
) -> sr.MeasurementsAndQualitativeEvaluations:
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(stamp, series_uid, concept, number),
        algorithm_id=_algorithm(stamp, parameters),
        **content,
    )


def _tracking(stamp: ModelStamp, series_uid: str, concept: str, number: int) -> sr.TrackingIdentifier:
    return sr.TrackingIdentifier(
        uid=tracking_uid(stamp, series_uid, concept, number), identifier=f"{stamp.name}: {concept}"
    )


def _algorithm(stamp: ModelStamp, parameters: Sequence[str]) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(
        name=stamp.name,
        version=stamp.version,
        manufacturer=stamp.manufacturer,
        family=codes.DCM.ArtificialIntelligence,
        parameters=[f"sha256={stamp.digest}", *parameters],
    )


def _says(name: SrCode, value: SrCode) -> sr.QualitativeEvaluation:
    return sr.QualitativeEvaluation(name, value)


def _urgency(urgency: Urgency) -> Iterator[sr.QualitativeEvaluation]:
    if urgency in words.URGENCY_VALUES:
        yield _says(words.URGENCY, words.URGENCY_VALUES[urgency])


def _sites(site: Code | None) -> list[sr.FindingSite] | None:
    return None if site is None else [sr.FindingSite(words.sr_code(site))]


def _source_images(
    finding: Finding, context: ReportContext
) -> list[sr.SourceImageForMeasurementGroup] | None:
    image = key_image(finding)
    if image is None:
        return None
    return [sr.SourceImageForMeasurementGroup(context.sop_class_uid, image.instance_uid, _frames(image))]


def _frames(image: ImageName) -> list[int] | None:
    """Only of a multi-frame object is a frame named (PS3.3 10.3)."""
    return None if image.frame is None else [image.frame]


def _comment(group: Group, texts: Iterable[str]) -> None:
    for text in texts:
        group[0].ContentSequence.append(sr.TextContentItem(words.COMMENT, text, _CONTAINS))


def percent(probability: float) -> float:
    return rounded(100 * probability)


def rounded(value: float) -> float:
    """A decimal string has at most 16 characters (PS3.5 6.2). Raises ModelFailed when it is no number."""
    if not isfinite(value):
        raise ModelFailed("the model measured something that is not a finite number")
    return float(f"{value:.6g}")


def _image_library(
    images: Sequence[ImageName], context: ReportContext, header: Dataset
) -> sr.ContainerContentItem:
    """One group (TID 1600), whose descriptors (TID 1602) all images share. Only key images: a library of
    the whole series would be most of the report."""
    group = sr.ContainerContentItem(codes.DCM.ImageLibraryGroup, relationship_type=_CONTAINS)
    group.ContentSequence = sr.ContentSequence([*_shared_descriptors(context, header)])
    group.ContentSequence.extend(
        sr.ImageContentItem(
            SrCode("260753009", "SCT", "Source"),
            context.sop_class_uid,
            image.instance_uid,
            referenced_frame_numbers=_frames(image),
            relationship_type=_CONTAINS,
        )
        for image in images
    )
    library = sr.ContainerContentItem(codes.DCM.ImageLibrary, relationship_type=_CONTAINS)
    library.ContentSequence = sr.ContentSequence([group])
    return library


def _shared_descriptors(context: ReportContext, header: Dataset) -> Iterator[sr.ContentItem]:
    modality = words.acquisition(context.modality)
    yield sr.CodeContentItem(codes.DCM.Modality, modality, relationship_type=_ACQUISITION)
    if header.get("FrameOfReferenceUID"):
        yield sr.UIDRefContentItem(
            codes.DCM.FrameOfReferenceUID, header.FrameOfReferenceUID, relationship_type=_ACQUISITION
        )
    for name, value in ((codes.DCM.PixelDataRows, header.Rows), (codes.DCM.PixelDataColumns, header.Columns)):
        yield sr.NumContentItem(name, value, _PIXELS, relationship_type=_ACQUISITION)
