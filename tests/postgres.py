"""A real PostgreSQL of our own: no network port, only a socket in a folder that goes with it.

    with Postgres() as server:
        Ledger.open(server.new_database())

PostgreSQL refuses to run as root; root therefore becomes the user `postgres`, which the Debian package made.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

_DEBIAN = Path("/usr/lib/postgresql")
_READY_WITHIN_S = 60.0
_STOP_WITHIN_S = 30.0


class Postgres:
    """One server. `fsync=False` is quicker and good enough where no power cut is played."""

    def __init__(self, *, fsync: bool = False) -> None:
        self._fsync = fsync
        self._bin = _binaries()
        self._databases = 0
        self._empty: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="serinus-pg-"))
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        try:
            self._make()
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._remove()

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of an empty database, lent for a while.

        It is emptied afterwards and lent again: hundreds of databases, one for each test, are gigabytes to delete.
        """
        url = self._empty.pop() if self._empty else self.new_database()
        yield url
        if _emptied(url):
            self._empty.append(url)

    def new_database(self) -> str:
        """The URL of a new and empty database."""
        self._databases += 1
        name = f"ledger_{self._databases}"
        self._run("createdb", "-h", str(self._folder), "-U", "serinus", name)
        return self.url(name)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://serinus@/{database}?host={self._folder}"

    def start(self) -> None:
        """Start it, for the first time or again, with the databases that it has."""
        data = str(self._folder / "data")
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._folder),
            "fsync": "on" if self._fsync else "off",
            "shared_buffers": "32MB",
        }
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        command = [*_as_postgres(), "--pdeathsig", "QUIT", str(self._bin / "postgres"), "-D", data, *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        self._wait()

    def _wait(self) -> None:
        assert self._process is not None
        ready = [
            str(self._bin / "pg_isready"),
            "-q",
            "-h",
            str(self._folder),
            "-d",
            "postgres",
            "-U",
            "serinus",
        ]
        deadline = time.monotonic() + _READY_WITHIN_S
        while subprocess.run(ready, check=False).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {(self._folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Shut it down, as a restart of the database would; `start` brings it back."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # a fast shutdown: it ends its sessions first
            self._process.wait(_STOP_WITHIN_S)

    def _make(self) -> None:
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-U", "serinus", "-A", "trust", "-E", "UTF8", "--no-sync")

    def _remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*_as_postgres(), str(self._bin / program), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=self._folder)
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr[-2000:]}")


def _emptied(url: str) -> bool:
    """Empty a database; whether that was possible, which it is not while somebody holds a lock in it."""
    limits = "-c lock_timeout=2000 -c client_min_messages=warning"
    plain = url.replace("postgresql+psycopg:", "postgresql:")
    with psycopg.connect(plain, autocommit=True, options=limits) as connection:
        try:
            connection.execute("DROP SCHEMA public CASCADE")
        except psycopg.errors.LockNotAvailable:
            return False
        connection.execute("CREATE SCHEMA public")
    return True


def _as_postgres() -> list[str]:
    if os.geteuid() != 0:
        return ["setpriv"]
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]


def _binaries() -> Path:
    """Debian keeps them beside the versions, outside of PATH."""
    found = [path.parent for path in _DEBIAN.glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: int(path.parent.name))
    on_path = shutil.which("initdb")
    if on_path is None:
        raise RuntimeError("PostgreSQL is not installed (Debian: postgresql)")
    return Path(on_path).parent
