"""Builders of valid synthetic DICOM instances. A test states only what matters to it."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from imaging.encoded import EncodedInstance

STUDY = "1.2.826.0.1.3680043.8.498.1"
SERIES = "1.2.826.0.1.3680043.8.498.1.1"
PATIENT = "CANARY^PATIENT"  # must never be seen in an error or a log


def ct_slice(
    index: int = 0, *, pixels: np.ndarray | None = None, step_mm: float = 2.5, **changes: Any
) -> Dataset:
    """An axial CT slice at `index * step_mm`; `changes` are attributes by keyword, None removes one.

    Its first pixel is `index`, and each other one more than the one before.
    """
    values = index + np.arange(48, dtype=np.int16).reshape(8, 6) if pixels is None else pixels
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"{SERIES}.{index + 1}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    dataset.FrameOfReferenceUID = STUDY + ".9"
    dataset.PatientName, dataset.PatientID = PATIENT, "CANARY-ID"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20250102", "101500", "1"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "ACC1", ""
    dataset.Modality, dataset.BodyPartExamined, dataset.Manufacturer = "CT", "HEAD", "Synthetic"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SeriesNumber, dataset.InstanceNumber = 1, index + 1
    dataset.SeriesDescription = "AX HEAD"
    dataset.SliceThickness, dataset.PixelSpacing = 2.5, [0.5, 0.75]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [-10, -20, index * step_mm]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = values.shape
    dataset.BitsAllocated = dataset.BitsStored = 8 * values.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "HU"
    dataset.PixelData = values.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    _change(dataset, changes)
    return dataset


def _change(dataset: Dataset, changes: dict[str, Any]) -> None:
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)


def ct_series(count: int = 5, **changes: Any) -> list[Dataset]:
    return [ct_slice(index, **changes) for index in range(count)]


def film(**changes: Any) -> Dataset:
    """A chest film: no position, no orientation."""
    absent = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "SliceThickness"))
    kind = {"SOPClassUID": ComputedRadiographyImageStorage, "Modality": "CR", "BodyPartExamined": "CHEST"}
    return ct_slice(0, SOPInstanceUID=generate_uid(), **kind, **absent, **changes)


def encoded(dataset: Dataset, **options: Any) -> bytes:
    """As a Part 10 file."""
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True, **options)
    return buffer.getvalue()


def files(datasets: Sequence[Dataset]) -> list[EncodedInstance]:
    """As an archive stores them."""
    return [EncodedInstance.of(encoded(dataset)) for dataset in datasets]
