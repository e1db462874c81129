"""The border to pydicom and the codecs: on damaged input they raise what they like, with tag values in its text."""

from __future__ import annotations

from asyncio import CancelledError
from types import TracebackType

from core.errors import SerinusError

_OURS = (SerinusError, MemoryError, KeyboardInterrupt, SystemExit, GeneratorExit, CancelledError)


class told_as:  # noqa: N801  (it reads as a statement)
    """Raise `error` for whatever is raised inside; errors of ours, and a lack of memory, pass as they are.

    A codec written in Rust panics with what is no `Exception`, but a BaseException of its own.
    """

    __slots__ = ("_error",)

    def __init__(self, error: SerinusError) -> None:
        self._error = error

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        if raised is not None and not isinstance(raised, _OURS):
            raise self._error from None
