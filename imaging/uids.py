"""UIDs that follow from what they name: the same parts give the same UID in every process, on every retry."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

_NAMESPACE: Final = UUID("5e21d055-ca0a-4b1e-9a5c-7e0f5c6a1b25")


def derived_uid(*parts: str) -> str:
    """A UUID-derived UID under 2.25 (PS3.5 B.2) from an ordered list of parts, whatever they contain.

    >>> derived_uid("a", "bc") == derived_uid("ab", "c")
    False
    """
    name = "".join(f"{len(part)}:{part}" for part in parts)  # lengths, so that parts cannot run together
    return f"2.25.{uuid5(_NAMESPACE, name).int}"
