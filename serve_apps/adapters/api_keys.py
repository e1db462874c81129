"""API keys with their scopes in one file, stored as digests."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from filelock import FileLock

from core.atomic_write import atomic_write
from core.errors import Unauthenticated
from serve_apps.application.callers import Caller, Scope

LOCK_S: Final = 10.0


class ApiKeys:
    """The keys of one file, read again when it changes: a key is added or taken away without a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at = 0
        self._callers: dict[str, Caller] = {}
        self._refresh()

    def authenticate(self, presented: str | None) -> Caller:
        """The caller of a key; raises Unauthenticated. Compares with every key in constant time."""
        self._refresh()
        digest = _digest(presented or "")
        matches = [caller for stored, caller in self._callers.items() if hmac.compare_digest(stored, digest)]
        if not matches:
            raise Unauthenticated("send a valid key in the header X-API-Key")
        return matches[0]

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
    """Append a new key to the file at `path` (mode 0600) and return it; only its digest is kept.

    Raises ValueError for a name that no ledger could hold.
    """
    caller = Caller(name, frozenset(scopes))
    key = secrets.token_urlsafe(32)
    row = {"name": caller.name, "sha256": _digest(key), "scopes": [scope.value for scope in scopes]}
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(
        path.with_suffix(".lock"), timeout=LOCK_S
    ):  # else the later of two keys takes the other away
        rows = json.loads(path.read_text()) if path.exists() else []
        write_private(path, json.dumps([*rows, row], indent=2))
    return key


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    atomic_write(path, text.encode())


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
