"""Deflated objects (PS3.5 A.5): inflated up to a limit, for a thousandth of it can be enough to fill a machine."""

from __future__ import annotations

import zlib

from core.errors import PixelsTooLarge, StudyError
from imaging.pixel_limits import PixelLimits


def inflate(deflated: bytes | memoryview, limit_bytes: int) -> bytes:
    """The whole of a raw deflate stream. Raises PixelsTooLarge beyond the limit, StudyError on a damaged stream."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = inflater.decompress(deflated, max(limit_bytes, 0) + 1)
    except zlib.error:
        raise StudyError("an object's deflated content is damaged") from None
    if len(content) > limit_bytes:
        raise PixelsTooLarge("a deflated object inflates to more than this site decodes")
    if not inflater.eof:
        raise StudyError("an object's deflated content is cut off")
    return content


def inflate_image(deflated: bytes | memoryview) -> bytes:
    """As `inflate`, up to what one image may be."""
    return inflate(deflated, PixelLimits().image_bytes)


def inflate_start(deflated: bytes | memoryview, size: int) -> bytes:
    """At most `size` bytes from the start. Raises StudyError on a damaged stream."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated, size)
    except zlib.error:
        raise StudyError("an object's deflated content is damaged") from None
