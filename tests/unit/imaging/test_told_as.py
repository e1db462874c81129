"""What a codec raises is told in our words; what is ours, and a lack of memory, passes."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import PixelsTooLarge, StudyError
from imaging.told_as import told_as


class PanicException(BaseException):
    """As a codec in Rust raises it."""


@pytest.mark.parametrize(
    "raised", [ValueError("CANARY"), KeyError("CANARY"), PanicException("CANARY"), OSError()]
)
def test_a_foreign_exception_becomes_ours(raised: BaseException) -> None:
    with pytest.raises(StudyError, match="cannot be read") as told, told_as(StudyError("it cannot be read")):
        raise raised
    assert told.value.__suppress_context__


@pytest.mark.parametrize(
    "raised",
    [PixelsTooLarge("big"), MemoryError(), KeyboardInterrupt(), SystemExit(), asyncio.CancelledError()],
)
def test_what_is_no_damage_passes(raised: BaseException) -> None:
    with pytest.raises(type(raised)), told_as(StudyError("it cannot be read")):
        raise raised
