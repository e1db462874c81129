"""Split a multipart/related body while it arrives (RFC 2046 §5.1, RFC 2387; DICOMweb PS3.18 §8.6).

    splitter = MultipartSplitter(boundary_of(content_type))
    for chunk in response:
        for body in splitter.feed(chunk): ...
    splitter.close()

Chunks may end anywhere, also inside a delimiter. A part with Content-Length is taken by count, so that its
bytes may even contain the delimiter; a part without ends at the first real delimiter line. What only looks
like one (`\\r\\n--boundaryX`) belongs to the body.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto

import numpy as np

Body = bytes | memoryview

_MAX_HEADER_BYTES = 16 * 1024
_MAX_PLAIN_BYTES = 2**30
_BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"]+)"|([^\s;,"]+))', re.IGNORECASE)
_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_LINE_END = re.compile(rb"[ \t]*\r\n")


class MultipartError(ValueError):
    """The body is not a well-formed multipart message, or ends before its closing delimiter."""


def boundary_of(content_type: str) -> bytes:
    """The boundary parameter. Raises MultipartError when the body is not multipart or names none."""
    boundary_match = _BOUNDARY.search(content_type)
    if not content_type.lower().lstrip().startswith("multipart/") or boundary_match is None:
        raise MultipartError("the answer is not multipart")
    return (boundary_match.group(1) or boundary_match.group(2)).encode("latin-1")


def _plain_memory(size: int) -> memoryview:
    if size > _MAX_PLAIN_BYTES:
        raise MultipartError("a part claims to be too long")
    return np.empty(size, np.uint8).data  # a claim costs no memory before it is filled


class _State(Enum):
    PREAMBLE = auto()
    HEADERS = auto()
    COUNTED = auto()
    OPEN = auto()
    DELIMITER = auto()
    DONE = auto()


class MultipartSplitter:
    """Feed chunks, get the bodies of the parts that are complete. One splitter per message.

    `allocate` gives the memory for a part of known length, which is filled in place; it should refuse a
    length that cannot be meant.
    """

    def __init__(self, boundary: bytes, allocate: Callable[[int], memoryview] = _plain_memory) -> None:
        if not boundary:
            raise MultipartError("the boundary is empty")
        self._delimiter = b"\r\n--" + boundary
        self._buffer = bytearray(b"\r\n")  # the first delimiter may stand at the very start of the body
        self._scanned = 0  # no delimiter starts before this offset of an open part
        self._allocate = allocate
        self._part = memoryview(b"")  # of a counted part, being filled
        self._filled = 0
        self._state = _State.PREAMBLE

    def feed(self, chunk: bytes) -> list[Body]:
        """The bodies that this chunk completes. Raises MultipartError."""
        rest = self._fill_counted(chunk)
        self._buffer += rest
        bodies: list[Body] = []
        while (body := self._step()) is not None:
            bodies.extend(body)
        return bodies

    def room(self) -> memoryview:
        """Where the next bytes of a counted part belong, to be filled in place; empty when they need `feed`."""
        if self._state is _State.COUNTED and not self._buffer:
            return self._part[self._filled :]
        return memoryview(b"")

    def advance(self, size: int) -> list[Body]:
        """Say that so many bytes were put into `room`; the body, if that completes it."""
        self._filled += size
        return self.feed(b"")

    def close(self) -> None:
        """Raises MultipartError unless the closing delimiter was seen: a cut answer is not a short series."""
        if self._state is not _State.DONE:
            raise MultipartError("the answer ended before its closing delimiter")

    def _fill_counted(self, chunk: bytes) -> bytes | memoryview:
        """The fast path: inside a counted part bytes go straight to their place; the rest comes back."""
        if self._state is not _State.COUNTED or self._buffer:
            return chunk
        return memoryview(chunk)[self._fill(chunk) :]

    def _fill(self, piece: bytes | bytearray) -> int:
        """Copy what still belongs to the counted part; how many bytes that was."""
        size = min(len(piece), len(self._part) - self._filled)
        self._part[self._filled : self._filled + size] = memoryview(piece)[:size]
        self._filled += size
        return size

    def _step(self) -> list[Body] | None:
        """One move of the machine: None when more bytes are needed, else the bodies it completed (0 or 1)."""
        match self._state:
            case _State.PREAMBLE | _State.OPEN:
                return self._find_delimiter()
            case _State.HEADERS:
                return self._read_headers()
            case _State.COUNTED:
                return self._read_counted()
            case _State.DELIMITER:
                return self._expect_delimiter()
            case _State.DONE:
                self._buffer.clear()  # an epilogue has no meaning
                return None

    def _find_delimiter(self) -> list[Body] | None:
        at = self._buffer.find(self._delimiter, self._scanned)
        if at < 0:
            self._scanned = max(self._scanned, len(self._buffer) - len(self._delimiter) + 1)
            return None
        after = self._after_delimiter(at)
        if after is None:
            self._scanned = at
            return None
        if not after:
            self._scanned = at + 1  # a look-alike: data
            return []
        body: list[Body] = [bytes(memoryview(self._buffer)[:at])] if self._state is _State.OPEN else []
        self._enter_headers(at, after)
        return body

    def _after_delimiter(self, at: int) -> int | None:
        """Where the delimiter line at `at` ends; 0 if it is none; None if more bytes must tell."""
        start = at + len(self._delimiter)
        if self._buffer.startswith(b"--", start):
            return start + 2
        if line := _LINE_END.match(self._buffer, start):
            return line.end()
        tail = bytes(self._buffer[start : start + 128])
        undecided = tail == b"-" or (tail.lstrip(b" \t") in (b"", b"\r") and len(tail) < 128)
        return None if undecided else 0

    def _enter_headers(self, at: int, after: int) -> None:
        closing = self._buffer.startswith(b"--", at + len(self._delimiter))
        del self._buffer[: after if closing else after - 2]  # keep the CRLF: headers may be empty
        self._scanned = 0
        self._state = _State.DONE if closing else _State.HEADERS

    def _read_headers(self) -> list[Body] | None:
        end = self._buffer.find(b"\r\n\r\n", 0, _MAX_HEADER_BYTES)
        if end < 0:
            if len(self._buffer) >= _MAX_HEADER_BYTES:
                raise MultipartError("a part's header does not end")
            return None
        length = _LENGTH.search(self._buffer, 0, end + 2)
        self._state = _State.OPEN if length is None else _State.COUNTED
        if length is not None:
            self._part, self._filled = self._allocate(int(length.group(1))), 0
        del self._buffer[: end + 4]
        return []

    def _read_counted(self) -> list[Body] | None:
        if self._buffer:
            del self._buffer[: self._fill(self._buffer)]
        if self._filled < len(self._part):
            return None
        body, self._part = self._part, memoryview(b"")
        self._state = _State.DELIMITER
        return [body]

    def _expect_delimiter(self) -> list[Body] | None:
        head = bytes(self._buffer[: len(self._delimiter)])
        if not self._delimiter.startswith(head):
            raise MultipartError("a part is longer than its Content-Length")
        after = self._after_delimiter(0) if len(head) == len(self._delimiter) else None
        if after == 0:
            raise MultipartError("a part is longer than its Content-Length")
        if after is None:
            return None
        self._enter_headers(0, after)
        return []
