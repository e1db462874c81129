from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imaging.dicomweb.multipart import MultipartError, MultipartSplitter, boundary_of

BOUNDARY = b"bd-42"
DELIMITER = b"\r\n--" + BOUNDARY

# pieces that make a naive splitter go wrong, mixed with anything
_TRAPS = [
    b"\r\n",
    b"\r",
    b"\n",
    b"--",
    b"\r\n--",
    BOUNDARY,
    DELIMITER[:-1],
    DELIMITER + b"x",
    DELIMITER + b"-x",
    DELIMITER + b" x",
]
pieces = st.one_of(st.sampled_from(_TRAPS), st.binary(max_size=12))
binaries = st.lists(pieces, max_size=12).map(b"".join)
cuts = st.lists(st.integers(min_value=1, max_value=40), min_size=1, max_size=40)


def holds_delimiter(body: bytes) -> bool:
    """A body that RFC 2046 forbids in a part without length, because it ends itself."""
    return re.search(re.escape(DELIMITER) + rb"(--|[ \t]*\r\n)", body + b"\r\n") is not None


def message(bodies: list[bytes], counted: list[bool], preamble: bytes = b"") -> bytes:
    parts = [preamble]
    for body, with_length in zip(bodies, counted, strict=True):
        length = b"Content-Length: %d\r\n" % len(body) if with_length else b""
        parts.append(
            b"--" + BOUNDARY + b"\r\nContent-Type: application/dicom\r\n" + length + b"\r\n" + body + b"\r\n"
        )
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def split(data: bytes, sizes: list[int]) -> list[bytes]:
    splitter, found, at, turn = MultipartSplitter(BOUNDARY), [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        found += splitter.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    splitter.close()
    return found


@given(bodies=st.lists(binaries, max_size=5), sizes=cuts)
@example(bodies=[DELIMITER + b"--\r\n", DELIMITER + b"\r\n\r\n"], sizes=[1])
def test_a_counted_part_may_hold_anything_even_the_delimiter(bodies: list[bytes], sizes: list[int]) -> None:
    assert split(message(bodies, [True] * len(bodies)), sizes) == bodies


@given(bodies=st.lists(binaries.filter(lambda body: not holds_delimiter(body)), max_size=5), sizes=cuts)
@example(bodies=[DELIMITER + b"x", b"\r", b"", DELIMITER + b" " * 200], sizes=[1])
def test_a_part_without_length_may_hold_what_only_looks_like_a_delimiter(
    bodies: list[bytes], sizes: list[int]
) -> None:
    assert split(message(bodies, [False] * len(bodies)), sizes) == bodies


@given(data=st.data(), sizes=cuts)
def test_parts_with_and_without_length_mix(data: st.DataObject, sizes: list[int]) -> None:
    bodies = data.draw(st.lists(st.binary(max_size=60).filter(lambda body: BOUNDARY not in body), max_size=5))
    counted = data.draw(st.lists(st.booleans(), min_size=len(bodies), max_size=len(bodies)))
    assert split(message(bodies, counted, preamble=b"ignored\r\n"), sizes) == bodies


@given(body=st.binary(max_size=40), cut=st.integers(min_value=1, max_value=30))
def test_a_cut_message_is_never_taken_for_a_whole_one(body: bytes, cut: int) -> None:
    whole = message([body], [True])
    with pytest.raises(MultipartError):
        split(whole[: max(1, len(whole) - 2 - cut)], [7])


def test_a_body_arrives_with_the_chunk_that_completes_it() -> None:
    splitter = MultipartSplitter(BOUNDARY)
    head = b"--" + BOUNDARY + b"\r\nContent-Length: 4\r\n\r\n"
    assert splitter.feed(head + b"abc") == []
    assert splitter.feed(b"d") == [b"abcd"]


def test_a_wrong_length_is_an_error_and_not_a_shifted_image() -> None:
    with pytest.raises(MultipartError, match="longer than its Content-Length"):
        split(b"--" + BOUNDARY + b"\r\nContent-Length: 2\r\n\r\nabcd\r\n--" + BOUNDARY + b"--", [64])


def test_a_header_without_end_does_not_fill_the_memory() -> None:
    splitter = MultipartSplitter(BOUNDARY)
    splitter.feed(b"--" + BOUNDARY + b"\r\n")
    splitter.feed(b"X-Long: " + b"y" * 16_000)
    with pytest.raises(MultipartError, match="does not end"):
        splitter.feed(b"y" * 1000)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=abc-1', b"abc-1"),
        ('Multipart/Related; boundary="a b;c"; type="application/dicom"', b"a b;c"),
        ("multipart/related;boundary=x;type=application/dicom", b"x"),
    ],
)
def test_the_boundary_is_read_in_every_notation(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type", ["", "application/dicom", "multipart/related", "application/json; boundary=x"]
)
def test_what_is_not_multipart_is_refused(content_type: str) -> None:
    with pytest.raises(MultipartError):
        boundary_of(content_type)
