"""Frozen dataclasses to JSON and back, by pydantic: the one codec for what is stored or travels as a document.

Reading is strict: nothing is converted that does not fit exactly, and each `__post_init__` checks again. An error
names the place by its JSON pointer (RFC 6901) and never repeats a value. The keys of a mapping stand in pointers, so
patient data may not be such a key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

T = TypeVar("T")
_STRICT: Final = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_LONGEST_STEP: Final = 64
_VALUE_ERROR: Final = "Value error, "


class InvalidDocument(ValueError):
    """A document that is not what the dataclass writes; `pointer` is the place, `problem` the reason."""

    def __init__(self, pointer: str, problem: str) -> None:
        super().__init__(pointer, problem)
        self.pointer = pointer or "/"
        self.problem = problem

    def __str__(self) -> str:
        return f"not valid at '{self.pointer}': {self.problem}"


def to_plain(value: object) -> Any:
    """Values that `json.dumps` takes: a dataclass becomes a dict of all its fields, an enumeration its value."""
    return _adapter(cast(Any, type(value))).dump_python(value, mode="json")


def from_plain(kind: type[T], document: object) -> T:
    """The dataclass that `to_plain` wrote; a field with a default may be missing, an unknown key may not be there.

    Raises InvalidDocument.
    """
    try:
        text = json.dumps(document)
    except (TypeError, ValueError, RecursionError):
        raise InvalidDocument("", "it holds something that is no JSON value") from None
    return _read(kind, text, forbid_unknown_keys=True)


def faults_of(kind: type[T], document: object) -> tuple[InvalidDocument, ...]:
    """Everything for which `from_plain` would refuse the document, for whoever is to mend it."""
    try:
        text = json.dumps(document)
    except (TypeError, ValueError, RecursionError):
        return (InvalidDocument("", "it holds something that is no JSON value"),)
    try:
        value = _adapter(cast(Any, kind)).validate_json(text, extra="forbid")
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        return tuple(InvalidDocument(_pointer(one), one["msg"].removeprefix(_VALUE_ERROR)) for one in errors)
    return (InvalidDocument("", "it is null"),) if value is None else ()


def schema_of(kind: type[T]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of the documents that `from_plain` takes, but for what `__post_init__` checks."""
    schema = _adapter(cast(Any, kind)).json_schema()
    return {"$ref": schema["anyOf"][0]["$ref"], "$defs": schema["$defs"]}


def to_json(kind: Any, value: object, *, without: Mapping[Any, Any] = MappingProxyType({})) -> str:
    """A value of type `kind`, which may be a mapping or a union of dataclasses, as one line of JSON.

    `without` names what is left out, as pydantic's `exclude`: a field by True, or what of it by name or number.
    """
    return _adapter(kind).dump_json(value, exclude=dict(without) or None).decode()


def from_json(kind: type[T], text: str, *, forbid_unknown_keys: bool = False) -> T:
    """The value that `to_json` wrote. Unknown keys are passed over by default: another release may have written
    the text. Raises InvalidDocument.
    """
    return _read(kind, text, forbid_unknown_keys=forbid_unknown_keys)


def _read(kind: type[T], text: str, *, forbid_unknown_keys: bool) -> T:
    try:
        value = _adapter(cast(Any, kind)).validate_json(
            text, extra="forbid" if forbid_unknown_keys else "ignore"
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidDocument(_pointer(first), first["msg"].removeprefix(_VALUE_ERROR)) from None
    if value is None:
        raise InvalidDocument("", "it is null")
    return cast(T, value)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """pydantic takes a configuration for a union, which the dataclasses in it inherit, but for no dataclass."""
    return TypeAdapter(kind | None, config=_STRICT)


def _pointer(error: ErrorDetails) -> str:
    return "".join(f"/{_escaped(step)}" for step in error["loc"])


def _escaped(step: int | str) -> str:
    """One step of a JSON pointer, cut so that a foreign key cannot flood a log."""
    return ascii(str(step)[:_LONGEST_STEP])[1:-1].replace("~", "~0").replace("/", "~1")
