"""An array with its geometry -> a DICOM series that a PACS takes and `dciodvfy` finds no error in. Pure.

Every UID follows from the identity's id, so the same sample is the same study on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
)

from imaging.uids import derived_uid
from imaging.volume import Geometry

STUDY_DATE: Final = "20260101"
STUDY_TIME: Final = "120000"
MANUFACTURER: Final = "Sample converter"  # not our own name: our results are never read again
IMPLEMENTATION_UID: Final = derived_uid("implementation", "samples")


class SampleModality(StrEnum):
    CT = "CT"
    MR = "MR"
    CR = "CR"


SOP_CLASSES: Final = {
    SampleModality.CT: CTImageStorage,
    SampleModality.MR: MRImageStorage,
    SampleModality.CR: ComputedRadiographyImageStorage,
}


@dataclass(frozen=True, slots=True)
class SampleIdentity:
    """What a sample is called. `id` decides every UID; `derivation` says where the image came from."""

    id: str
    patient: str  # PN, such as SAMPLE^CTHEAD
    modality: SampleModality
    body_part: str
    description: str
    derivation: str = ""
    study_uid: str | None = None  # None: derived from `id`


@dataclass(frozen=True, slots=True)
class SampleImage:
    """Stored values `(slices, rows, columns)`, int16 or uint16, in slice order along the normal.

    Stored values times `rescale` (slope, intercept) are HU for CT. `geometry` is None for a projection,
    which may say its `film_spacing_mm` (between rows, between columns), written as it is, even when it is 0.
    """

    stored: npt.NDArray[np.int16] | npt.NDArray[np.uint16]
    geometry: Geometry | None
    window: tuple[float, float]  # centre, width
    rescale: tuple[float, float] = (1.0, 0.0)
    film_spacing_mm: tuple[float, float] | None = None
    inverted: bool = False  # MONOCHROME1
    bits_stored: int = 16

    def __post_init__(self) -> None:
        if self.stored.ndim != 3 or self.stored.dtype not in (np.int16, np.uint16):
            raise ValueError("stored values are (slices, rows, columns) of int16 or uint16")


def to_series(identity: SampleIdentity, image: SampleImage) -> Iterator[Dataset]:
    """The series' instances in slice order, each with its file meta information."""
    for index in range(len(image.stored)):
        yield _instance(identity, image, index)


def study_uid(identity: SampleIdentity) -> str:
    return identity.study_uid or derived_uid("sample", identity.id, "study")


def _instance(identity: SampleIdentity, image: SampleImage, index: int) -> Dataset:
    dataset = Dataset()
    _name(dataset, identity, index)
    _describe(dataset, identity)
    _place(dataset, image, index)
    _MODALITY_MODULES[identity.modality](dataset, image)
    _put_pixels(dataset, image, index)
    dataset.file_meta = _file_meta(dataset)
    return dataset


def _name(dataset: Dataset, identity: SampleIdentity, index: int) -> None:
    study = study_uid(identity)
    dataset.SOPClassUID = SOP_CLASSES[identity.modality]
    dataset.SOPInstanceUID = derived_uid("sample", study, "instance", str(index))
    dataset.StudyInstanceUID = study
    dataset.SeriesInstanceUID = derived_uid("sample", study, "series")
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", 1, index + 1
    dataset.AccessionNumber = f"S{derived_uid(study)[-12:]}"
    dataset.PatientName = identity.patient
    dataset.PatientID = identity.patient.replace("^", "-")
    dataset.PatientBirthDate = dataset.PatientSex = dataset.ReferringPhysicianName = ""


def _describe(dataset: Dataset, identity: SampleIdentity) -> None:
    dataset.Modality = identity.modality.value
    dataset.BodyPartExamined = identity.body_part
    dataset.StudyDescription = dataset.SeriesDescription = identity.description[:64]
    dataset.Manufacturer = MANUFACTURER
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = STUDY_DATE
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = STUDY_TIME
    if identity.derivation:
        dataset.DerivationDescription = identity.derivation[:1024]


def _place(dataset: Dataset, image: SampleImage, index: int) -> None:
    geometry = image.geometry
    if geometry is None:
        if image.film_spacing_mm is not None:
            dataset.PixelSpacing = list(image.film_spacing_mm)
        return
    between_slices, between_rows, between_columns = geometry.spacing_mm
    normal = np.cross(geometry.row_cosine, geometry.column_cosine)
    position = np.asarray(geometry.origin_mm) + normal * between_slices * index
    dataset.FrameOfReferenceUID = derived_uid("sample", dataset.StudyInstanceUID, "frame")
    dataset.PositionReferenceIndicator = ""
    dataset.PatientPosition = "HFS"
    dataset.ImagePositionPatient = _decimals(position)
    dataset.ImageOrientationPatient = _decimals((*geometry.row_cosine, *geometry.column_cosine))
    dataset.PixelSpacing = _decimals((between_rows, between_columns))
    dataset.SliceThickness = _decimals((geometry.slice_thickness_mm or between_slices,))[0]
    dataset.SliceLocation = _decimals((position @ normal,))[0]


def _decimals(values: npt.ArrayLike) -> list[float]:
    """Decimal strings have at most 16 characters (PS3.5 6.2); a micrometre is enough, and -0 is 0."""
    return [round(float(value), 6) + 0.0 for value in np.asarray(values)]


def _ct(dataset: Dataset, image: SampleImage) -> None:
    dataset.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
    dataset.KVP, dataset.AcquisitionNumber = "", 1
    dataset.RescaleSlope, dataset.RescaleIntercept = _decimals(image.rescale)
    dataset.RescaleType = "HU"


def _mr(dataset: Dataset, image: SampleImage) -> None:
    dataset.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "GR", "SP", ""
    dataset.MRAcquisitionType = "3D"
    dataset.RepetitionTime = dataset.EchoTime = dataset.EchoTrainLength = None
    dataset.AcquisitionNumber = 1


def _cr(dataset: Dataset, image: SampleImage) -> None:
    dataset.KVP = dataset.PlateID = dataset.AcquisitionNumber = None
    dataset.PatientOrientation = ["L", "F"]
    dataset.ViewPosition = "PA"


_MODALITY_MODULES: Final = {SampleModality.CT: _ct, SampleModality.MR: _mr, SampleModality.CR: _cr}


def _put_pixels(dataset: Dataset, image: SampleImage, index: int) -> None:
    plane = image.stored[index]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if image.inverted else "MONOCHROME2"
    dataset.Rows, dataset.Columns = plane.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, image.bits_stored, image.bits_stored - 1
    dataset.PixelRepresentation = int(plane.dtype.kind == "i")
    dataset.WindowCenter, dataset.WindowWidth = _decimals(image.window)
    dataset.PixelData = plane.astype(plane.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OW"


def _file_meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    return meta
