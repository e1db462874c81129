"""Headers that do not tell the truth about their pixels, their patient or their place."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from tests.bad_studies.case import FILM, Case, each, every, film, one


def _move(image: Dataset, **to: float) -> None:
    x, y, z = image.ImagePositionPatient
    image.ImagePositionPatient = [to.get("x", x), to.get("y", y), to.get("z", z)]


CASES = (
    Case("CT with RescaleSlope 0", every(RescaleSlope=0), "rescale-invalid"),
    Case("CT without RescaleSlope (Type 1)", every(RescaleSlope=None), "rescale-invalid"),
    Case("CT without RescaleIntercept (Type 1)", every(RescaleIntercept=None), "rescale-invalid"),
    Case("CT whose RescaleType is not HU", every(RescaleType="US"), "rescale-invalid"),
    Case("one image of a CT without RescaleSlope", one(RescaleSlope=None), "rescale-invalid"),
    Case("RescaleIntercept of 1e38", every(RescaleIntercept=1e38), "rescale-invalid"),
    Case("MR images that call themselves CT", every(SOPClassUID=MRImageStorage), "header-inconsistent"),
    Case("CT images that call themselves MR", every(Modality="MR"), "no-eligible-series"),
    Case("more bits stored than allocated", every(BitsStored=24, HighBit=23), "header-inconsistent"),
    Case("a high bit that is not the highest", every(BitsStored=12, HighBit=15), "header-inconsistent"),
    Case("monochrome with three samples per pixel", every(SamplesPerPixel=3), "header-inconsistent"),
    Case("images of no rows", every(Rows=0), "header-inconsistent"),
    Case("no BitsStored", every(BitsStored=None), "study-unreadable"),
    Case("two PatientIDs in one series", one(PatientID="SOMEBODY-ELSE"), "patients-mixed"),
    Case("one image without PatientID", one(PatientID=""), "patients-mixed"),
    Case("contrast agent, where the intended use says none", every(ContrastBolusAgent="Iohexol 300"), "outside-intended-use"),
    Case("contrast agent NONE", every(ContrastBolusAgent="NONE")),
    Case("lateral film, where the card says frontal", every(film, ViewPosition="LL"), "outside-intended-use", model=FILM),
    Case("film that does not tell its view", every(film, ViewPosition=""), model=FILM),
    Case("child, where the card says adults", every(PatientAge="004Y"), "outside-intended-use"),
    Case("chest, where the card says head", every(BodyPartExamined="CHEST"), "no-eligible-series"),
    Case("positions beyond any scanner", each(lambda image, index: _move(image, z=1e30 + index)), "geometry-implausible"),
    Case("one position beyond any scanner", each(lambda image, index: index or _move(image, x=-1e30)), "geometry-implausible"),
    Case("images of six metres", every(PixelSpacing=[100, 100]), "geometry-implausible"),
    Case("slices a metre apart", each(lambda image, index: _move(image, z=400.0 * index)), "geometry-implausible"),
    Case("an image without position", one(ImagePositionPatient=None), "geometry-invalid"),
    Case("two images at one position", each(lambda image, index: index == 3 and _move(image, z=10.0)), "geometry-invalid"),
    Case("a gap", each(lambda image, index: index > 11 and _move(image, z=5.0 * index + 5.0)), "geometry-invalid"),
    Case("a gantry tilt of 20 degrees", each(lambda image, index: _move(image, y=1.82 * index)), "geometry-invalid"),
    Case("an orientation of its own", one(ImageOrientationPatient=[1, 0, 0, 0, 0, 1]), "no-eligible-series"),
    Case("PixelSpacing 0 in a CT", every(PixelSpacing=[0, 0]), "geometry-invalid"),
    Case("PixelSpacing 0 in a film", every(film, PixelSpacing=[0, 0]), note="no length may be measured", model=FILM),
    Case("coronal slices", every(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), "no-eligible-series"),
    Case("colour", every(PhotometricInterpretation="RGB"), "no-eligible-series"),
    Case("several frames in one object", every(NumberOfFrames=2), "no-eligible-series"),
    Case("secondary captures", every(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), "no-eligible-series"),
    Case("results of ours", every(Manufacturer="Serinus"), "no-eligible-series"),
)  # fmt: skip
