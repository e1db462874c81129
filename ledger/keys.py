"""The keys of callers: of each only the digest is kept. A revoked one stays, so that it never comes back."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.errors import InvalidField, KeyNotFound, KeyRefused
from ledger.audit import Audit
from ledger.database import Database
from ledger.limits import require_fits
from ledger.tables import api_keys

BOOTSTRAP: Final = "the state folder"  # who made a key that came from the file
PREFIX: Final = "srn_"
ID_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that is to be kept. `digest` is the sha256 of the secret, in hexadecimal."""

    name: str
    tenant: str
    scopes: tuple[str, ...]
    digest: str = field(repr=False)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept. Its `id` is how the secret begins; one from the file has an id of its own."""

    id: str
    name: str
    tenant: str
    scopes: tuple[str, ...]
    digest: str = field(repr=False)
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_on: date | None = None

    def is_valid(self, at: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


def new_key_id() -> str:
    return PREFIX + secrets.token_hex(ID_BYTES)


class Keys:
    """Makes, lists and revokes keys; each change is audited."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._db = database
        self._audit = audit

    def all(self) -> tuple[ApiKey, ...]:
        """Every key, the oldest first, revoked and expired ones too. Cheap when nobody has written since."""
        return self._db.remembered("keys", self._all)

    def create(self, key_id: str, key: NewKey, *, actor: str) -> ApiKey:
        """Keep a new key. A name has one tenant: raises InvalidField if its other keys are of another."""
        with self._db.write() as connection:
            self._db.serialise(connection, "keys")
            for known in self._valid(connection):
                if known.name == key.name and known.tenant != key.tenant:
                    raise InvalidField(f"the keys of {key.name} are of the tenant {known.tenant}", "/tenant")
            row = self._row(connection, key_id, key, actor)
            connection.execute(sa.insert(api_keys).values(**row))
            expires = key.expires_at.isoformat() if key.expires_at else None
            told = {"name": key.name, "tenant": key.tenant, "scopes": list(key.scopes), "expires_at": expires}
            self._audit.append_within(connection, actor, "key.create", key_id, told)
        return _key(row)

    def adopt(self, keys: Iterable[NewKey]) -> None:
        """Keep what is not here yet; what is, stays as it is: a revoked key does not come back by the file."""
        known = {key.digest for key in self._all()}
        missing = [key for key in keys if key.digest not in known]
        if not missing:
            return
        with self._db.write() as connection:
            for key in missing:
                row = self._row(connection, new_key_id(), key, BOOTSTRAP)
                connection.execute(self._db.insert_once(api_keys, ("digest",)), row)

    def revoke(self, named: str, *, actor: str, asking: str) -> tuple[ApiKey, ...]:
        """Revoke the key of that id, or all keys of that name; returns those that were valid until now.

        `asking` is the id of the key that asks: it does not revoke itself, so that nobody locks himself out. Raises
        KeyRefused then, and KeyNotFound if there is no such key.
        """
        with self._db.write() as connection:
            self._db.serialise(connection, "keys")
            meant = [key for key in self._valid(connection) if named in (key.id, key.name)]
            if not meant:
                raise KeyNotFound("no valid key has that id or name")
            if asking in [key.id for key in meant]:
                raise KeyRefused("a key does not revoke itself: ask with another administrator's key")
            at, ended = self._db.now(connection), api_keys.c.id.in_([key.id for key in meant])
            connection.execute(sa.update(api_keys).where(ended).values(revoked_at=at))
            told = {"name": meant[0].name, "keys": [key.id for key in meant]}
            self._audit.append_within(connection, actor, "key.revoke", named, told)
        return tuple(replace(key, revoked_at=at) for key in meant)

    def note_used(self, key_ids: Collection[str], on: date) -> None:
        """Note the day on which keys were used last."""
        earlier = api_keys.c.last_used_on.is_(None) | (api_keys.c.last_used_on < on)
        with self._db.write_unsynced() as connection:
            used = api_keys.c.id.in_(key_ids) & earlier
            connection.execute(sa.update(api_keys).where(used).values(last_used_on=on))

    def _all(self) -> tuple[ApiKey, ...]:
        with self._db.read() as connection:
            return _keys(connection)

    def _valid(self, connection: Connection) -> list[ApiKey]:
        now = self._db.now(connection)
        return [key for key in _keys(connection) if key.is_valid(now)]

    def _row(self, connection: Connection, key_id: str, key: NewKey, actor: str) -> dict[str, Any]:
        row = {
            "id": key_id,
            "name": key.name,
            "tenant": key.tenant,
            "digest": key.digest,
            "scopes": list(key.scopes),
            "created_at": self._db.now(connection),
            "created_by": actor,
            "expires_at": key.expires_at,
            "revoked_at": None,
            "last_used_on": None,
        }
        require_fits(api_keys, row)
        return row


def _keys(connection: Connection) -> tuple[ApiKey, ...]:
    rows: Sequence[RowMapping] = (
        connection.execute(sa.select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id))
        .mappings()
        .all()
    )
    return tuple(_key(row) for row in rows)


def _key(row: dict[str, Any] | RowMapping) -> ApiKey:
    return ApiKey(**{**row, "scopes": tuple(row["scopes"])})
