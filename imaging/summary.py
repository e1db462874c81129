"""The instances of a series -> its SeriesHeader, and which of them are images of the series itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, MRImageStorage

from core.errors import InconsistentHeader
from imaging.colour import COLOURS
from imaging.elements import floats, text
from imaging.enhanced import MODALITIES, is_multi_frame, why_not_unfolded
from imaging.pixel_layout import MONOCHROME
from imaging.series import Plane, SeriesHeader

OWN_MANUFACTURER: Final = "serinus"
_MODALITY_OF: Final[Mapping[str, str]] = {CTImageStorage: "CT", MRImageStorage: "MR", **MODALITIES}
_SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
_LOCALIZER: Final = re.compile(r"\b(localizer|scout|topogram|surview|survey|scanogram)\b", re.IGNORECASE)
_DOSE: Final = re.compile(r"\b(dose (report|info|record|summary)|patient protocol)\b", re.IGNORECASE)
_AXES: Final = (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)  # of the slice normal, in LPS
_OBLIQUE_BELOW: Final = 0.8  # cosine of 37 degrees


def summarize_study(series: Mapping[str, Sequence[Dataset]]) -> tuple[SeriesHeader, ...]:
    return tuple(summarize(uid, datasets) for uid, datasets in sorted(series.items()))


def summarize(series_uid: str, datasets: Sequence[Dataset]) -> SeriesHeader:
    """Describe a series by its first image and the values on which all images agree."""
    images = readable_images(datasets)
    first = images[0] if images else datasets[0]
    return SeriesHeader(
        series_uid=series_uid,
        modality=text(first, "Modality"),
        body_part=text(first, "BodyPartExamined"),
        plane=_plane(images),
        slices=len(images),
        thickness_mm=_thickness_mm(images),
        obstacle=_obstacle(first, images),
        colour=text(first, "PhotometricInterpretation") in COLOURS,
    )


def readable_images(datasets: Iterable[Dataset]) -> tuple[Dataset, ...]:
    """The images without localizers, which scanners often put into the series that was planned on them."""
    return tuple(dataset for dataset in datasets if "Rows" in dataset and not _is_localizer(dataset))


def check_kind(dataset: Dataset) -> None:
    """Raises InconsistentHeader for a CT that calls itself MR, or an image that is of no kind of image."""
    if not _is_image(dataset):
        raise InconsistentHeader("an image is of no image storage class of the standard")
    expected = _MODALITY_OF.get(text(dataset, "SOPClassUID"))
    if expected and text(dataset, "Modality") != expected:
        raise InconsistentHeader(f"an image is stored as {expected}, and names another modality")


def _obstacle(first: Dataset, images: Sequence[Dataset]) -> str | None:
    if text(first, "Manufacturer").lower().startswith(OWN_MANUFACTURER):
        return "it is a result of ours"
    if "Rows" not in first:
        return "it has no images"
    if not images:
        return "it is a localizer"
    if not _is_image(first):
        return "it is of no image storage class of the standard"
    if _is_screen(first):
        return "it is a screen capture, not an acquired image"
    if is_multi_frame(first):
        return why_not_unfolded(first)
    if text(first, "PhotometricInterpretation") not in MONOCHROME | COLOURS:
        return "it is in a kind of colour that is not supported"
    return None


def _is_image(dataset: Dataset) -> bool:
    """Whether its SOP class is an image storage class of the standard (PS3.4 B.5): no report can name another."""
    sop_class = UID(text(dataset, "SOPClassUID"))
    return "Image Storage" in str(sop_class.name) and not sop_class.is_retired


def _is_localizer(dataset: Dataset) -> bool:
    if "LOCALIZER" in text(dataset, "ImageType").upper():
        return True
    return bool(_LOCALIZER.search(text(dataset, "SeriesDescription")))


def _is_screen(dataset: Dataset) -> bool:
    """Secondary captures, and the dose screens that pose as CT."""
    sop_class = text(dataset, "SOPClassUID")
    if sop_class == _SECONDARY_CAPTURE or sop_class.startswith(_SECONDARY_CAPTURE + "."):
        return True
    if "SCREEN SAVE" in text(dataset, "ImageType").upper():
        return True
    return bool(_DOSE.search(text(dataset, "SeriesDescription")))


def _plane(images: Sequence[Dataset]) -> Plane | None:
    planes = {_plane_of(orientation) for orientation in {_orientation(image) for image in images}}
    return planes.pop() if len(planes) == 1 else None


def _orientation(image: Dataset) -> tuple[float, ...]:
    return _numbers(image, "ImageOrientationPatient")


def _plane_of(orientation: tuple[float, ...]) -> Plane | None:
    """The plane whose normal is nearest, if it is near (`oblique` has none)."""
    if len(orientation) != 6:
        return None
    normal = np.abs(np.cross(orientation[:3], orientation[3:]))
    axis = int(normal.argmax())
    return _AXES[axis] if normal[axis] >= _OBLIQUE_BELOW else None


def _thickness_mm(images: Sequence[Dataset]) -> float | None:
    first_values = (_numbers(image, "SliceThickness")[:1] for image in images)
    thicknesses = [value for values in first_values for value in values if value > 0]
    return median(thicknesses) if thicknesses else None


def _numbers(image: Dataset, keyword: str) -> tuple[float, ...]:
    """The values, or none when they are broken: `to_volume` will say so, choosing must not stop at it."""
    try:
        return floats(image, keyword)
    except ValueError:
        return ()
