"""Who calls, and what they may do: API keys with scopes, stored as digests."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from core.atomic_write import OWNER_ONLY, atomic_write
from serve_apps.api.problems import Problem


class Scope(StrEnum):
    JOBS_WRITE = "jobs:write"
    RESULTS_READ = "results:read"
    STUDIES_WRITE = "studies:write"
    VARIANTS_CHOOSE = "variants:choose"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated system. Its name is the tenant that idempotency keys and coalescing are scoped to."""

    name: str
    scopes: frozenset[Scope]

    def require(self, scope: Scope) -> None:
        if scope not in self.scopes and Scope.ADMIN not in self.scopes:
            raise Problem("forbidden", f"the key of this caller lacks the scope {scope.value}")


class ApiKeys:
    """The keys of one file, read again when it changes: a key is added or taken away without a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at = 0
        self._callers: dict[str, Caller] = {}
        self._refresh()

    def authenticate(self, presented: str | None) -> Caller:
        """The caller of a key; raises Problem 401. Compares with every key in constant time."""
        self._refresh()
        digest = _digest(presented or "")
        found = None
        for known, caller in self._callers.items():
            if hmac.compare_digest(known, digest):
                found = caller
        if found is None:
            raise Problem("unauthenticated", "send a valid key in the header X-API-Key")
        return found

    def _refresh(self) -> None:
        changed_at = self._path.stat().st_mtime_ns
        if changed_at == self._read_at:
            return
        rows = json.loads(self._path.read_text())
        self._callers = {
            row["sha256"]: Caller(row["name"], frozenset(Scope(scope) for scope in row["scopes"]))
            for row in rows
        }
        self._read_at = changed_at


def create_key(path: Path, name: str, scopes: Sequence[Scope]) -> str:
    """Append a new key to the file at `path` (mode 0600) and return it; only its digest is kept."""
    key = secrets.token_urlsafe(32)
    rows = json.loads(path.read_text()) if path.exists() else []
    rows.append({"name": name, "sha256": _digest(key), "scopes": [scope.value for scope in scopes]})
    write_private(path, json.dumps(rows, indent=2))
    return key


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole: a reader never sees half of it."""
    atomic_write(path, text.encode(), mode=OWNER_ONLY)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
