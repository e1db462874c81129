"""The keys as this process knows them: asked at every request, in memory, whatever the ledger does meanwhile."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime

from core.clock import now
from core.errors import LedgerUnavailable, Unauthenticated
from ledger import ApiKey
from serve_apps.application.callers import Caller, Scope, digest_of


class KeyRing:
    """Answers who presents a key, by what was taken from the ledger last. Safe from several threads."""

    def __init__(self, clock: Callable[[], datetime] = now) -> None:
        self._clock = clock
        self._keys: Mapping[str, ApiKey] | None = None
        self._used: dict[str, date] = {}

    def authenticate(self, presented: str | None) -> Caller:
        """The caller of a key. Compares with every key in constant time.

        Raises Unauthenticated, and LedgerUnavailable while no keys have been read since the process began.
        """
        if not presented:
            raise Unauthenticated("send a valid key in the header X-API-Key")
        if self._keys is None:
            raise LedgerUnavailable("the keys have not been read from the ledger yet")
        digest, at = digest_of(presented), self._clock()
        matches = [key for known, key in self._keys.items() if hmac.compare_digest(known, digest)]
        if not matches or not matches[0].is_valid(at):
            raise Unauthenticated("send a valid key in the header X-API-Key")
        self._used[matches[0].id] = at.date()
        return caller_of(matches[0])

    def take(self, keys: Iterable[ApiKey]) -> None:
        """Go by these keys from now on."""
        self._keys = {key.digest: key for key in keys}

    def newly_used(self) -> Mapping[date, frozenset[str]]:
        """By day the ids of keys that were used and whose last use, as it was taken, is on an earlier day."""
        noted = {key.id: key.last_used_on for key in (self._keys or {}).values()}
        days: dict[date, set[str]] = {}
        for key_id, day in self._used.copy().items():
            if key_id in noted and ((before := noted[key_id]) is None or before < day):
                days.setdefault(day, set()).add(key_id)
        return {day: frozenset(ids) for day, ids in days.items()}


def caller_of(key: ApiKey) -> Caller:
    """Who a key stands for. A scope that this version does not know gives nothing."""
    known = frozenset(scope for scope in Scope if scope.value in key.scopes)
    return Caller(key.name, known, key.tenant, key.id)
