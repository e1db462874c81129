"""Bounds what a process may hold: it is ended before the machine is short, and before any other process is."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from serve_apps.adapters import memory_watcher

SHARE_OF_THE_MACHINE: Final = 3
FIRST_OF_ALL: Final = 1000
BEFORE_ROUTERS: Final = 750
ROUTERS: Final = 500  # what Ray gives each of its workers here; only a privileged process may lower its own


def guard_memory(limit_bytes: int) -> subprocess.Popen[bytes]:
    """Have a process of its own end this one when it holds more, or when the machine is short while it holds much."""
    script, pid = str(Path(memory_watcher.__file__)), str(os.getpid())
    command = [sys.executable, "-I", "-S", script, pid, str(limit_bytes)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def third_of_the_machine() -> int:
    """What a process may hold of which nobody says anything else, in bytes."""
    return memory_watcher.machine_bytes()[0] // SHARE_OF_THE_MACHINE


def offer_to_the_oom_killer(score: int) -> None:
    """Have the kernel end this process before those of a lower score (proc(5), oom_score_adj)."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(score))
