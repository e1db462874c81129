"""The wire of keys: what an administrator asks for, and what is told of a key."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from pydantic import Field

from serve_apps.api.schemas import IsoTime, Name, Wire
from serve_apps.application.callers import Scope


class KeyIn(Wire):
    """A key for the system `name`, with these scopes."""

    name: Name
    scopes: tuple[Scope, ...] = Field(min_length=1, max_length=len(Scope))
    tenant: Name | None = Field(
        default=None,
        description="whose jobs it sees; left out: the tenant of the name's other keys, or the name",
    )
    expires_at: IsoTime | None = Field(default=None, description="left out: never")


class KeyState(StrEnum):
    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


class KeyOut(Wire):
    """A key without its secret, of which `id` is the beginning."""

    id: str
    name: str
    tenant: str
    scopes: tuple[str, ...]
    state: KeyState
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_on: date | None = Field(default=None, description="UTC")


class KeyMadeOut(KeyOut):
    """A new key; its secret is told here and never again."""

    key: str


class KeysOut(Wire):
    keys: tuple[KeyOut, ...]


class RevokedOut(Wire):
    """The keys that were valid until now; every process refuses them within so many seconds."""

    revoked: tuple[KeyOut, ...]
    in_force_within_s: float
