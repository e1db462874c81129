"""Objects among a study's that are no readable DICOM: passed over and counted, whatever pydicom raises on them."""

from __future__ import annotations

from tests.bad_studies.case import INNER, Case, Files, as_files, head, one, with_files
from tests.bad_studies.pixels import deflated

NO_DICOM = b"a letter to the radiologist\n" * 40


def corrupt_deflated() -> bytes:
    """A deflated object whose content is overwritten: zlib.error in pydicom."""
    whole = deflated(head("another")[0])
    return whole[:400] + bytes(64) + whole[464:]


def _each_deflated() -> Files:
    return [deflated(image) for image in head()]


def _instead(junk: bytes, index: int) -> Files:
    files = as_files(head())
    return [*files[:index], junk, *files[index + 1 :]]


def _cut(files: Files) -> Files:
    """The last image ends in its header."""
    return [*files[:-1], files[-1][:700]]


CASES = (
    Case("an object that is no DICOM among the images", with_files(lambda files: [*files, NO_DICOM]), note="1 object is no readable DICOM"),
    Case("an empty object among the images", with_files(lambda files: [*files, b""]), note="1 object is no readable DICOM"),
    Case("a corrupt deflated object among the images", with_files(lambda files: [corrupt_deflated(), *files]), note="1 object is no readable DICOM"),
    Case("a sound deflated study", _each_deflated),
    Case("a corrupt object in place of an inner image", lambda: _instead(corrupt_deflated(), INNER), "geometry-invalid"),
    Case("a corrupt object in place of the last image", lambda: _instead(corrupt_deflated(), 23), note="1 object is no readable DICOM"),
    Case("the last image cut off in a value of its header", with_files(_cut), note="1 object is no readable DICOM"),
    Case("an object without an image in the series", one(23, Rows=None), note="1 of 24 objects of the series hold no image"),
)  # fmt: skip
