"""What is too long is told to its sender by name, before a database refuses it in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa

from core.errors import InvalidField


def require_fits(table: sa.Table, values: Mapping[str, Any]) -> None:
    """Raises InvalidField when a text is longer than its column, or holds a NUL, which PostgreSQL does not store."""
    longest = _longest(table)
    for name, value in values.items():
        if isinstance(value, str) and name in longest:
            _require(name, value, longest[name])


@cache
def _longest(table: sa.Table) -> Mapping[str, int | None]:
    """By column, how many characters it takes; None where any number fits."""
    return {column.name: getattr(column.type, "length", None) for column in table.c}


def _require(name: str, value: str, longest: int | None) -> None:
    if longest is not None and len(value) > longest:
        raise InvalidField(f"{name} has at most {longest} characters", pointer=f"/{name}")
    if "\x00" in value:
        raise InvalidField(f"{name} holds a NUL character", pointer=f"/{name}")
