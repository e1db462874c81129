"""Deflated objects are inflated up to a limit, for a study as for an object."""

from __future__ import annotations

import zlib
from io import BytesIO

import pytest

from core.errors import PixelsTooLarge, StudyError
from imaging.archive import Budget, FetchLimits
from imaging.elements import text
from imaging.inflate import inflate, inflate_start
from imaging.instance import names_of, parse_instance
from imaging.intake import read_object, to_study
from imaging.pixel_limits import PixelLimits
from tests.bad_studies.case import head
from tests.bad_studies.pixels import deflated
from tests.ct import encoded


def squeezed(content: bytes) -> bytes:
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return squeeze.compress(content) + squeeze.flush()


@pytest.mark.parametrize("size", [0, 1, 99, 100])
def test_what_fits_is_inflated_as_a_whole(size: int) -> None:
    content = bytes(range(size))
    assert inflate(squeezed(content), 100) == content
    assert inflate(squeezed(content) + b"\0", 100) == content, "an object is padded to an even length"


@pytest.mark.parametrize("size", [101, 10_000_000])
def test_what_does_not_fit_is_refused(size: int) -> None:
    with pytest.raises(PixelsTooLarge):
        inflate(squeezed(bytes(size)), 100)


@pytest.mark.parametrize("damaged", [b"", squeezed(bytes(50))[:-3], b"\xff\xff\xff" * 20])
def test_a_damaged_stream_is_an_error_of_ours(damaged: bytes) -> None:
    with pytest.raises(StudyError):
        inflate(damaged, 100)


def test_only_the_start_of_a_bomb_is_inflated_for_its_names() -> None:
    bomb = deflated(head()[0], b"\xfc\xff\xfc\xffOB\0\0" + (1 << 28).to_bytes(4, "little") + bytes(1 << 24))
    assert text(names_of(BytesIO(bomb)), "StudyInstanceUID") == head()[0].StudyInstanceUID
    assert len(inflate_start(squeezed(bytes(1 << 22)), 1000)) == 1000


def test_the_objects_of_a_study_share_one_limit() -> None:
    files = [deflated(image) for image in head()[:4]]
    each = len(encoded(head()[0]))
    budget = Budget(FetchLimits(pixels=PixelLimits(image_bytes=1 << 20, study_bytes=3 * each)))
    for content in files[:2]:
        assert read_object(content, budget.inflate) is not None
    with pytest.raises(PixelsTooLarge):
        [read_object(content, budget.inflate) for content in files[2:]]
    budget.refund(size=0, instances=0, inflated=budget.inflated_bytes)
    assert read_object(files[3], budget.inflate) is not None


def test_a_deflated_object_cannot_hide_from_the_limit() -> None:
    """pydicom inflates without one; it never gets an object whose file meta information we could not read."""
    content = bytearray(deflated(head()[0], bytes(10) + b"x" * 1000))
    content[136:138] = b"ZZ"  # the representation of the first element
    with pytest.raises(StudyError):
        parse_instance(bytes(content))
    with pytest.raises(StudyError):
        names_of(BytesIO(bytes(content)))


def test_objects_that_cannot_be_read_are_counted() -> None:
    one = parse_instance(encoded(head()[0]))
    assert to_study([one], 5).notes == ()
    assert to_study([one, None], 5).notes == ("1 object is no readable DICOM of this study, and left out",)
    assert to_study([one, None], 5, left_out=2).notes[0].startswith("3 objects are no readable DICOM")
    with pytest.raises(StudyError, match="2 objects are no readable DICOM"):
        to_study([None, None], 5)
