"""One damaged object out of a sound one. The same seed makes the same damage on every machine."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random

from pydicom.datadict import tag_for_keyword

from tests.fuzzing.make_corpus import CORPUS

Mutation = Callable[[bytearray, Random], bytearray]

HEADER_END = 132
EXTREME = (0, 1, 2, 7, 8, 12, 15, 16, 17, 32, 40, 0x7F, 0x80, 0xFF, 0x100, 4000, 60000, 0x7FFF, 0xFFFF)
LONG = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 60000, 1 << 20)
ATTACKED = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
    "PhotometricInterpretation", "RescaleSlope", "RescaleIntercept", "RescaleType", "PixelSpacing",
    "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness", "PixelData", "SpecificCharacterSet",
    "Modality", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID",
    "PatientBirthDate", "ProcedureCodeSequence", "ImageType", "BodyPartExamined", "TransferSyntaxUID",
    "NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "PlanePositionSequence",
    "RedPaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableData", "PlanarConfiguration",
    "FrameContentSequence", "DimensionIndexValues", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
)  # fmt: skip
TEXTS = (
    b"0",
    b"-0",
    b"1e30",
    b"-1e400",
    b"nan",
    b"inf",
    b"\\\\\\\\",
    b"",
    b"\xff\xfe\xfd",
    b"ISO 2022 IR 87",
    b"9" * 16,
)


def flip(content: bytearray, random: Random) -> bytearray:
    for _ in range(random.choice((1, 1, 1, 3, 20))):
        content[_at(content, random)] ^= 1 << random.randrange(8)
    return content


def overwrite(content: bytearray, random: Random) -> bytearray:
    at, size = _at(content, random), random.choice((1, 2, 4, 8, 64, 400))
    filling = random.choice((b"\0", b"\xff", random.randbytes(size)))
    content[at : at + size] = (filling * size)[: len(content[at : at + size])]
    return content


def cut(content: bytearray, random: Random) -> bytearray:
    return content[: random.randrange(len(content) + 1)]


def remove(content: bytearray, random: Random) -> bytearray:
    at = _at(content, random)
    del content[at : at + random.choice((1, 2, 7, 40, 500))]
    return content


def repeat(content: bytearray, random: Random) -> bytearray:
    at, size = _at(content, random), random.choice((1, 8, 40, 500))
    content[at:at] = content[at : at + size] * random.choice((1, 2, 50))
    return content


def insert(content: bytearray, random: Random) -> bytearray:
    at = _at(content, random)
    content[at:at] = random.randbytes(random.choice((1, 2, 8, 100)))
    return content


def number(content: bytearray, random: Random) -> bytearray:
    """Two or four bytes anywhere become a number that hurts."""
    at = _at(content, random)
    order = random.choice("<>")
    form, value = random.choice((("H", random.choice(EXTREME)), ("I", random.choice(LONG))))
    packed = struct.pack(order + form, value)
    content[at : at + len(packed)] = packed
    return content


def value(content: bytearray, random: Random) -> bytearray:
    """The value or the length of a known element becomes another one."""
    tag = tag_for_keyword(random.choice(ATTACKED)) or 0
    order = random.choice("<<<>")
    at = content.find(struct.pack(order + "HH", tag >> 16, tag & 0xFFFF), HEADER_END)
    if at < 0:
        return number(content, random)
    packed = random.choice(
        (
            struct.pack(order + "H", random.choice(EXTREME)),
            struct.pack(order + "I", random.choice(LONG)),
            random.choice(TEXTS),
            random.randbytes(2),
        )
    )
    start = at + random.choice((4, 6, 8, 8, 8, 12))
    content[start : start + len(packed)] = packed
    return content


MUTATIONS: tuple[Mutation, ...] = (flip, overwrite, cut, remove, repeat, insert, number, value, value)


def _at(content: bytearray, random: Random) -> int:
    """A place in the content, most often behind the preamble; half of the time among the last bytes, the pixels."""
    if len(content) <= HEADER_END or random.random() < 0.02:
        return random.randrange(max(len(content), 1))
    return random.randrange(HEADER_END, len(content))


class Mutator:
    """Makes damaged objects of the corpus, by number."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._names = sorted(path.name for path in CORPUS.glob("*.dcm"))
        self._contents = [(CORPUS / name).read_bytes() for name in self._names]

    @property
    def names(self) -> Sequence[str]:
        return self._names

    def case(self, index: int) -> bytes:
        """Damaged object `index`; each syntax comes in turn."""
        random = Random(self._seed * 1_000_003 + index)
        which = index % len(self._contents)
        content = bytearray(self._contents[which])
        deflated = self._names[which] == "deflated.dcm" and random.random() < 0.7
        if deflated:
            content = _inflated(content)
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            if content:
                content = random.choice(MUTATIONS)(content, random)
        if random.random() < 0.02:
            content += self._contents[random.randrange(len(self._contents))]
        return _deflated(content) if deflated else bytes(content)


def _start(content: bytes | bytearray) -> int:
    """Where the dataset begins, as the sound file says."""
    return HEADER_END + 12 + int(struct.unpack_from("<I", content, 140)[0])


def _inflated(content: bytearray) -> bytearray:
    start = _start(content)
    return content[:start] + zlib.decompress(content[start:], -zlib.MAX_WBITS)


def _deflated(content: bytearray) -> bytes:
    if len(content) < HEADER_END + 16:
        return bytes(content)
    start = min(_start(content), len(content))
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return bytes(content[:start]) + squeeze.compress(content[start:]) + squeeze.flush()
