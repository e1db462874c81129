"""The content of a report, encoded; what one report shares with the next is built once and kept as a form.

Most of a report are codes and words that depend on the version and on what it found, hardly on the study. highdicom
takes 10 ms to build them and pydicom as long to encode them. So the first report of its kind is built, and its bytes
are kept with the places of its UIDs and numbers, the blanks; the next one of the same kind is these bytes with its
own UIDs and numbers in the blanks. Both ways give the same bytes.

A kind is all of a prediction but its UIDs and numbers, and how long each of these is: so no length changes. Content
with a text that is not ASCII has no form, since its bytes depend on the character set of the whole report.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from struct import Struct
from typing import Any, Final

import highdicom.sr as sr
from pydicom.charset import default_encoding
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.valuerep import DS, EXPLICIT_VR_LENGTH_32

from imaging.content_uid import encoded_element
from imaging.encoded_items import encode_codes, even
from imaging.finding import InputCheck, Prediction
from imaging.report_content import content_of, key_image, key_images, percent, require_sound, rounded
from imaging.report_frame import ReportContext, device_uid, tracking_uid
from imaging.source_texts import is_ascii
from imaging.volume import ImageName

Content = DataElement | RawDataElement
CONTENT: Final = Tag("ContentSequence")
MOST_FORMS: Final = 256  # of 5 to 30 kB
_IMAGES: Final = frozenset(map(Tag, ("UID", "ReferencedSOPInstanceUID", "ReferencedFrameNumber")))
_NUMBERS: Final = frozenset(map(Tag, ("FloatingPointValue", "NumericValue")))
_ITEM: Final = Tag(0xFFFE, 0xE000)
_TAG: Final = Struct("<HH")
_SHORT: Final = Struct("<H")
_LONG: Final = Struct("<L")
_DOUBLE: Final = Struct("<d")


class ContentForms:
    """Encodes the content of predictions; remembers a form of each kind, and begins anew at `most` of them."""

    def __init__(self, most: int = MOST_FORMS) -> None:
        self._most = most
        self._forms: dict[Any, _Form] = {}

    @property
    def kinds(self) -> int:
        """How many forms are remembered."""
        return len(self._forms)

    def content(self, prediction: Prediction, context: ReportContext, header: Dataset) -> Content:
        """The Content Sequence. Raises ModelFailed as `content_of` does."""
        require_sound(prediction, context)
        if prediction.boxes:  # outlines have no form
            return built_content(content_of(prediction, context, header))
        values = _values(prediction, context, header)
        kind = _kind(prediction, context, values)
        form = self._forms.get(kind)
        if form is not None:
            return form.filled(values)
        content = built_content(content_of(prediction, context, header))
        if isinstance(content, RawDataElement):
            self._remember(kind, _Form.of(content.value or b""), values)
        return content

    def _remember(self, kind: Any, form: _Form, values: Sequence[bytes]) -> None:
        """Keep a form only if its blanks hold what would have been filled in."""
        if not form.holds(values):
            return
        if len(self._forms) >= self._most:
            self._forms.clear()
        self._forms[kind] = form


def built_content(report: sr.MeasurementReport) -> Content:
    """The Content Sequence of a report, encoded if all its texts are ASCII."""
    holder = Dataset()
    holder.ContentSequence = report[0].ContentSequence
    if not is_ascii(holder):
        return holder[CONTENT]
    encode_codes(holder)
    element, _ = encoded_element(holder, CONTENT, default_encoding)
    return element


@dataclass(frozen=True, slots=True)
class _Form:
    """An encoded Content Sequence and where its blanks are: offset and length of each value."""

    content: bytes
    blanks: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, content: bytes) -> _Form:
        return cls(content, tuple(_blanks(content, 0, len(content))))

    def holds(self, values: Sequence[bytes]) -> bool:
        return [self.content[at : at + length] for at, length in self.blanks] == list(values)

    def filled(self, values: Sequence[bytes]) -> RawDataElement:
        content = bytearray(self.content)
        for (at, length), value in zip(self.blanks, values, strict=True):
            content[at : at + length] = value
        return RawDataElement(CONTENT, "SQ", len(content), bytes(content), 0, False, True)


def _blanks(content: bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    """The values of UIDs and numbers between two offsets of Explicit VR Little Endian (PS3.5 7.1.2, 7.5)."""
    while at < end:
        tag = Tag(*_TAG.unpack_from(content, at))
        vr = content[at + 4 : at + 6].decode("ascii", "replace")
        if tag == _ITEM:
            at, length = at + 8, _LONG.unpack_from(content, at + 4)[0]
        elif vr in EXPLICIT_VR_LENGTH_32:
            at, length = at + 12, _LONG.unpack_from(content, at + 8)[0]
        else:
            at, length = at + 8, _SHORT.unpack_from(content, at + 6)[0]
        if tag == _ITEM or vr == "SQ":
            yield from _blanks(content, at, at + length)
        elif tag in _IMAGES or tag in _NUMBERS:
            yield at, length
        at += length


def _values(prediction: Prediction, context: ReportContext, header: Dataset) -> tuple[bytes, ...]:
    """The UIDs and numbers of a report without boxes, encoded, in the order of its content tree."""
    return tuple(
        [
            _uid(device_uid(prediction.stamp)),
            *_of_image_library(key_images(prediction), header),
            *_of_groups(prediction),
        ]
    )


def _of_image_library(images: Sequence[ImageName], header: Dataset) -> Iterator[bytes]:
    if not images:
        return
    if header.get("FrameOfReferenceUID"):
        yield _uid(header.FrameOfReferenceUID)
    yield from (*_number(header.Rows), *_number(header.Columns))
    for image in images:
        yield from _image(image)


def _of_groups(prediction: Prediction) -> Iterator[bytes]:
    stamp, series_uid = prediction.stamp, prediction.series_uid
    yield _uid(tracking_uid(stamp, series_uid, "study"))
    if prediction.priority_score is not None:
        yield from _number(prediction.priority_score)
    for number, finding in enumerate(prediction.findings, 1):
        yield _uid(tracking_uid(stamp, series_uid, finding.concept.value, number))
        if not prediction.input_check.is_foreign:
            yield from _number(percent(finding.probability))
        if image := key_image(finding):
            yield from _image(image)
    if prediction.measurements:
        yield _uid(tracking_uid(stamp, series_uid, "measurements"))
        for measurement in prediction.measurements:
            yield from _number(rounded(measurement.value))


def _uid(uid: str) -> bytes:
    return even(uid.encode("ascii", "replace"))


def _image(image: ImageName) -> Iterator[bytes]:
    yield _uid(image.instance_uid)
    if image.frame is not None:
        yield even(str(image.frame).encode(), b" ")


def _number(value: float) -> Iterator[bytes]:
    """As highdicom writes it: a decimal string, and before it the number itself unless it is whole by type."""
    if isinstance(value, float):
        yield _DOUBLE.pack(value)
    yield even(str(DS(value, auto_format=True)).encode(), b" ")


def _kind(prediction: Prediction, context: ReportContext, values: Sequence[bytes]) -> tuple[Any, ...]:
    """All that a report's content follows from, with the lengths of its UIDs and numbers instead of these."""
    images = key_images(prediction)
    shape = replace(
        prediction,
        series_uid="",
        input_digest="",
        findings=tuple(
            replace(
                finding,
                probability=0.0,
                key_instance_uid=(image := key_image(finding)) and str(images.index(image)),
                key_frame=None if finding.key_frame is None else 0,
            )
            for finding in prediction.findings
        ),
        measurements=tuple(replace(measurement, value=0.0) for measurement in prediction.measurements),
        priority_score=None if prediction.priority_score is None else 0,
        input_check=InputCheck(prediction.input_check.verdict),  # a report says no distance
        mask=None,
        features=None,
    )
    return shape, context.sop_class_uid, context.modality, tuple(map(len, values))
