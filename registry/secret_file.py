"""A secret in a file that only its owner can read."""

from __future__ import annotations

from pathlib import Path

from cryptography.fernet import Fernet

from core.atomic_write import atomic_write


def write_secret(path: Path, content: bytes) -> None:
    """Create `path` with mode 0600 and `content`; raises FileExistsError rather than replace a secret."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    atomic_write(path, content, replace=False)


def read_or_create_secret(path: Path) -> bytes:
    """The Fernet key (32 bytes, URL-safe base64) in `path`, made on first use."""
    if not path.exists():
        write_secret(path, Fernet.generate_key())
    return path.read_bytes()
