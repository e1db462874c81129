"""The file of keys in the state folder, from which the first keys come into a ledger. It holds digests only."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from filelock import FileLock

from core.atomic_write import atomic_write
from serve_apps.application.callers import Caller, Scope, digest_of

LOCK_S: Final = 10.0


def create_key(path: Path, name: str, scopes: Sequence[Scope]) -> str:
    """Append a new key to the file at `path` (mode 0600) and return it; only its digest is kept.

    Its tenant is called like it. Raises ValueError for a name that no ledger could hold.
    """
    caller = Caller(name, frozenset(scopes), name)
    key = secrets.token_urlsafe(32)
    row = {"name": caller.name, "sha256": digest_of(key), "scopes": [scope.value for scope in scopes]}
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
