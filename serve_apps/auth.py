"""Who calls, and what they may do: API keys with scopes, stored as digests."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from serve_apps.errors import Problem


class Scope(StrEnum):
    JOBS_WRITE = "jobs:write"
    RESULTS_READ = "results:read"
    STUDIES_WRITE = "studies:write"
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
    """Looks a presented key up in constant time per stored key."""

    def __init__(self, callers_by_digest: Mapping[str, Caller]) -> None:
        self._callers = dict(callers_by_digest)

    @classmethod
    def load(cls, path: Path) -> ApiKeys:
        rows = json.loads(path.read_text())
        return cls(
            {r["sha256"]: Caller(r["name"], frozenset(Scope(scope) for scope in r["scopes"])) for r in rows}
        )

    def authenticate(self, presented: str | None) -> Caller:
        """The caller of a key; raises Problem 401."""
        digest = _digest(presented or "")
        for known, caller in self._callers.items():
            if hmac.compare_digest(known, digest):
                return caller
        raise Problem("unauthenticated", "send a valid key in the header X-API-Key")


def create_key(path: Path, name: str, scopes: Sequence[Scope]) -> str:
    """Append a new key to the file at `path` (mode 0600) and return it; only its digest is kept."""
    key = secrets.token_urlsafe(32)
    rows = json.loads(path.read_text()) if path.exists() else []
    rows.append({"name": name, "sha256": _digest(key), "scopes": [scope.value for scope in scopes]})
    write_private(path, json.dumps(rows, indent=2))
    return key


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
