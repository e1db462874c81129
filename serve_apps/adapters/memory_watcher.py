"""Ends the process that started it when that holds more memory than it may. A script: standard library only.

It is a process of its own because a decoder that fills the memory may hold the interpreter's lock meanwhile, so that
no thread of the process could see it. It kills, because what must not allocate any more cannot end by itself.

    python -I -S memory_watcher.py PID LIMIT_BYTES
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

SHORT = 0.08  # of the machine's memory left: Ray begins to kill at 0.05, whomever its policy names
IDLE_BYTES = 512 << 20  # what a reader holds that reads nothing large: to end it would free nothing
FASTEST = 4 << 30  # bytes a second that a process may fill
LONGEST_PAUSE_S, SHORTEST_PAUSE_S = 0.25, 0.01
CGROUP = Path("/sys/fs/cgroup")


def held_bytes(pid: int) -> int:
    """What the process alone holds: no shared libraries, no volumes in the object store (proc(5), RssAnon)."""
    return field_bytes(Path(f"/proc/{pid}/status").read_text(), "RssAnon")


def machine_bytes() -> tuple[int, int]:
    """The memory of this machine, or of its container, and how much of it is left."""
    text = Path("/proc/meminfo").read_text()
    total, left = field_bytes(text, "MemTotal"), field_bytes(text, "MemAvailable")
    limit = own_limit()
    if limit is None or limit >= total:
        return total, left
    used = int((CGROUP / "memory.current").read_text())
    cached = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())["inactive_file"]
    return limit, min(left, limit - used + int(cached))


def own_limit() -> int | None:
    """What the container may have (cgroup v2); None where there is no such limit."""
    try:
        text = (CGROUP / "memory.max").read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def field_bytes(text: str, name: str) -> int:
    """A field of a file of proc(5) that counts in kB; 0 where it is absent."""
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def fault(held: int, limit: int, total: int, left: int) -> str | None:
    """Why the process is to end; None while it may go on. All in bytes."""
    if held > limit:
        return f"it holds {held >> 20} MiB and may hold {limit >> 20}"
    if held > IDLE_BYTES and left < SHORT * total:
        return f"it holds {held >> 20} MiB and the machine has {left >> 20} MiB left"
    return None


def pause_s(held: int, limit: int, total: int, left: int) -> float:
    """Until the process could have used up what is left to it, at the fastest."""
    room = min(limit - held, int(left - SHORT * total))
    return min(LONGEST_PAUSE_S, max(SHORTEST_PAUSE_S, room / FASTEST))


def watch(pid: int, limit: int) -> None:
    """Returns when the process is gone, or ended."""
    while os.getppid() == pid:
        try:
            held, (total, left) = held_bytes(pid), machine_bytes()
        except (OSError, ValueError, KeyError):
            return
        why = fault(held, limit, total, left)
        if why is not None:
            print(f"serinus: process {pid} is ended: {why}", file=sys.stderr, flush=True)
            os.kill(pid, signal.SIGKILL)
            return
        time.sleep(pause_s(held, limit, total, left))


if __name__ == "__main__":
    watch(int(sys.argv[1]), int(sys.argv[2]))
