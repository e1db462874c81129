"""Processes that carry a variable of ours in their environment, however orphaned (read from /proc: Linux only)."""

from __future__ import annotations

from pathlib import Path


def marked(variable: str, value: str) -> tuple[int, ...]:
    """Living processes started with `variable=value`, or by one that was; oldest first."""
    mark = f"{variable}={value}".encode()
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return tuple(sorted(pid for pid in pids if mark in _environment(pid)))


def _environment(pid: int) -> frozenset[bytes]:
    """Variables of a process; a zombie has none, nor has one that is gone or another user's."""
    try:
        return frozenset(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return frozenset()
