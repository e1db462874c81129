"""A secret in a file that only its owner can read."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.fernet import Fernet


def write_secret(path: Path, content: bytes) -> None:
    """Create `path` with mode 0600 and `content`; raises FileExistsError rather than replace a secret."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def read_or_create_secret(path: Path) -> bytes:
    """The Fernet key (32 bytes, URL-safe base64) in `path`, made on first use."""
    if not path.exists():
        write_secret(path, Fernet.generate_key())
    return path.read_bytes()
