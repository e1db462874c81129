"""Which studies a process had in work when it died: what the next process of the same version on this machine finds.

A process notes a study by an empty file before it works on it, and takes the file away after it. Files of a process
that is gone are its last word: the studies under which it died.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from core.private_files import OWNER_ONLY, private_folder

KEPT_S: Final = 30 * 24 * 3600.0


class FlightRecorder:
    """In `folder`, one of a version. A study's key is a name that a file may have and that names no patient."""

    def __init__(self, folder: Path) -> None:
        self._deaths = private_folder(folder / "deaths")
        self._flights = private_folder(folder / "flights")
        self._own = private_folder(
            self._flights / f"{socket.gethostname()}.{os.getpid()}.{started(os.getpid())}"
        )
        self._count_deaths()

    def deaths(self, key: str) -> int:
        """How many processes died under the study since it was last answered."""
        try:
            return (self._deaths / key).stat().st_size
        except OSError:
            return 0

    @contextmanager
    def flight(self, key: str) -> Iterator[None]:
        """Work on a study. Whatever way it ends, this process has survived it; on a full disk nothing is noted."""
        note = self._own / key
        with suppress(OSError):
            note.touch(mode=OWNER_ONLY)
        try:
            yield
        finally:
            with suppress(OSError):
                note.unlink()

    def answered(self, key: str) -> None:
        """The study is innocent of what died under it."""
        with suppress(OSError):
            (self._deaths / key).unlink()

    def land(self) -> None:
        """This process ends by decision, and not from what it has in work."""
        shutil.rmtree(self._own, ignore_errors=True)

    def _count_deaths(self) -> None:
        host = socket.gethostname()
        for left in self._flights.glob(f"{host}.*.*"):
            _, pid, start = left.name.rsplit(".", 2)
            if left == self._own or started(int(pid)) == start:
                continue
            mine = left.with_name(f"counted.{os.getpid()}.{left.name}")
            with suppress(OSError):  # another replica that starts now counts them
                left.rename(mine)
                for note in mine.iterdir():
                    with (self._deaths / note.name).open("ab") as file:
                        file.write(b"x")
                shutil.rmtree(mine)
        for old in self._deaths.iterdir():
            with suppress(OSError):
                if time.time() - old.stat().st_mtime > KEPT_S:
                    old.unlink()


def started(pid: int) -> str:
    """When a process was started, in clock ticks since the boot (proc(5), stat 22); empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
