"""Frozen dataclasses to plain JSON values and back, strictly: what does not fit exactly is refused.

A spec comes with the artifact, so it is foreign input. An unknown key, an unknown word of an enumeration, a
number where a string belongs: each raises ModelRefused, which names the place by its JSON pointer (RFC 6901)
and never repeats the value.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from core.errors import ModelRefused

T = TypeVar("T")


def to_plain(value: object) -> Any:
    """Dataclasses become dicts with every field, tuples lists, enumerations their words."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, StrEnum) else value


def from_plain(kind: type[T], value: object) -> T:
    """The dataclass that `to_plain` wrote. A field with a default may be missing. Raises ModelRefused."""
    return cast(T, _read(kind, value, ""))


def _read(kind: Any, value: object, pointer: str) -> object:
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(cast(type, kind), value, pointer)
    origin = typing.get_origin(kind)
    if origin is tuple:
        return _read_tuple(typing.get_args(kind), value, pointer)
    if origin in (types.UnionType, typing.Union):
        (inner,) = [option for option in typing.get_args(kind) if option is not types.NoneType]
        return None if value is None else _read(inner, value, pointer)
    if issubclass(kind, StrEnum):
        return _read_word(kind, value, pointer)
    return _SCALARS[kind](value, pointer)


def _read_dataclass(kind: type, value: object, pointer: str) -> object:
    if not isinstance(value, Mapping):
        raise _refused(pointer, "an object is expected")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in value:
        if key not in fields:
            raise _refused(f"{pointer}/{_escape(key)}", "this key is unknown")
    hints = typing.get_type_hints(kind)
    given = {name: _read(hints[name], value[name], f"{pointer}/{name}") for name in fields if name in value}
    for name, field in fields.items():
        if name not in given and field.default is dataclasses.MISSING:
            raise _refused(f"{pointer}/{name}", "this key is missing")
    try:
        return kind(**given)
    except ValueError as error:
        raise _refused(pointer, str(error)) from None


def _read_tuple(kinds: tuple[Any, ...], value: object, pointer: str) -> tuple[object, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise _refused(pointer, "a list is expected")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise _refused(pointer, f"a list of {len(kinds)} is expected")
    return tuple(
        _read(kind, item, f"{pointer}/{index}")
        for index, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _read_word(kind: type[StrEnum], value: object, pointer: str) -> StrEnum:
    if isinstance(value, str) and value in tuple(kind):
        return kind(value)
    raise _refused(pointer, f"one of {', '.join(kind)} is expected")


def _read_text(value: object, pointer: str) -> str:
    if isinstance(value, str):
        return value
    raise _refused(pointer, "a string is expected")


def _read_int(value: object, pointer: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _refused(pointer, "a whole number is expected")


def _read_float(value: object, pointer: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise _refused(pointer, "a finite number is expected")


def _read_bool(value: object, pointer: str) -> bool:
    if isinstance(value, bool):
        return value
    raise _refused(pointer, "true or false is expected")


_SCALARS: Mapping[type, Callable[[object, str], object]] = types.MappingProxyType(
    {str: _read_text, int: _read_int, float: _read_float, bool: _read_bool}
)


def _escape(key: object) -> str:
    """One step of a JSON pointer, cut so that a foreign key cannot flood a log."""
    return ascii(str(key)[:64])[1:-1].replace("~", "~0").replace("/", "~1")


def _refused(pointer: str, problem: str) -> ModelRefused:
    return ModelRefused(f"the version's spec is not valid at '{pointer or '/'}': {problem}")


def to_json(kind: Any, value: object) -> str:
    """Any frozen dataclass of ours as one line of JSON: mappings, sets and unions too."""
    return _adapter(kind).dump_json(value).decode()


def from_json(kind: type[T], text: str) -> T:
    """What `to_json` wrote. Keys that are unknown here are passed over: another release may have written them.

    Raises ValueError for what is no such document.
    """
    return cast(T, _adapter(cast(Any, kind)).validate_json(text))


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
