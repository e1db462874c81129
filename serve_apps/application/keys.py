"""Making, listing and revoking callers' keys. A secret is told once, to whoever made it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from core.clock import now
from core.errors import InvalidField
from ledger import ApiKey, Ledger, NewKey, new_key_id
from serve_apps.application.callers import Caller, Scope, digest_of
from serve_apps.application.executors import run_in

SECRET_BYTES: Final = 32
LONGEST: Final = timedelta(days=3653)
IN_FORCE_WITHIN_S: Final = 2.0  # every process reads the keys twice a second


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new key with its secret, which nobody can tell again."""

    key: ApiKey
    secret: str = field(repr=False)


class KeyService:
    """Changes the keys in the ledger. `refresh` has this very process go by them at once."""

    def __init__(self, ledger: Ledger, executor: Executor, refresh: Callable[[], None]) -> None:
        self._keys = ledger.keys
        self._executor = executor
        self._refresh = refresh

    async def create(
        self,
        name: str,
        scopes: Collection[Scope],
        *,
        actor: str,
        tenant: str | None = None,
        expires_at: datetime | None = None,
    ) -> MadeKey:
        """Make a key. Without a tenant it is of the tenant of the name's other keys, or of one called like it.

        Raises InvalidField for a time that is past or too far off, or another tenant than the name's other keys have.
        """
        at = now()
        if expires_at is not None and not at < expires_at <= at + LONGEST:
            raise InvalidField("a key expires in the future, within ten years", "/expires_at")
        key_id = new_key_id()
        secret = f"{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
        whose = tenant or await self._tenant_of(name)
        new = NewKey(name, whose, tuple(sorted(set(scopes))), digest_of(secret), expires_at)
        key = await run_in(self._executor, self._keys.create, key_id, new, actor=actor)
        await run_in(self._executor, self._refresh)
        return MadeKey(key, secret)

    async def all(self) -> tuple[ApiKey, ...]:
        """Every key, the oldest first, also those that are revoked or have expired."""
        return await run_in(self._executor, self._keys.all)

    async def revoke(self, named: str, *, actor: str, caller: Caller) -> tuple[ApiKey, ...]:
        """Revoke a key by its id, or all keys of a name; returns those that were valid until now.

        Every process obeys within IN_FORCE_WITHIN_S. Raises KeyNotFound, or KeyRefused for the caller's own key.
        """
        ended = await run_in(self._executor, self._keys.revoke, named, actor=actor, asking=caller.key_id)
        await run_in(self._executor, self._refresh)
        return ended

    async def _tenant_of(self, name: str) -> str:
        at = now()
        return next((key.tenant for key in await self.all() if key.name == name and key.is_valid(at)), name)
