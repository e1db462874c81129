"""Frozen dataclasses as the JSON documents that the ledger keeps of them, and back, checked by pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

from pydantic import TypeAdapter

from canary.explain import DecisionRow

T = TypeVar("T")


class DocumentCodec(Generic[T]):
    """Writes and reads documents of one type."""

    def __init__(self, kind: type[T]) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)

    def write(self, value: T) -> Any:
        """A value of JSON."""
        return self._adapter.dump_python(value, mode="json")

    def read(self, document: Mapping[str, Any]) -> T:
        """Raises ValueError for what was not written by `write`."""
        return self._adapter.validate_python(document)


DECISION: Final = DocumentCodec(DecisionRow)
