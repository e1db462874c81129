"""A process that fills the memory is ended in time, also while it holds the interpreter's lock."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
LIMIT = 300 << 20
GUARDED = f"from serve_apps.adapters.memory_guard import guard_memory; watcher = guard_memory({LIMIT}); "


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", GUARDED + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_one_call_that_fills_the_memory_under_the_lock_is_ended_and_says_why() -> None:
    started = time.monotonic()
    done = run("import time; time.sleep(0.5); held = bytearray(b'x') * (12 << 30)")
    assert done.returncode == -signal.SIGKILL
    assert "may hold 300" in done.stderr
    assert time.monotonic() - started < 30


def test_who_stays_below_the_limit_is_left_alone_and_leaves_no_watcher() -> None:
    done = run("import time; held = bytearray(b'x') * (64 << 20); time.sleep(1); print(watcher.pid)")
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 10
    while psutil.pid_exists(int(done.stdout)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(int(done.stdout))
