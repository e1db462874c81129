"""A file is whole or not there, however many write it at once."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core import atomic_write as module
from core.atomic_write import atomic_write


def test_writers_of_one_path_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "study" / "instance.dcm"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: atomic_write(path, b"DICM" * 1000), range(40)))
    assert path.read_bytes() == b"DICM" * 1000
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_its_owners_alone_whatever_the_umask_says(tmp_path: Path) -> None:
    path = tmp_path / "inbox" / "study" / "instance.dcm"
    before = os.umask(0)
    try:
        atomic_write(path, b"DICM")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent, path.parent.parent)]
    assert modes == [0o600, 0o700, 0o700]


def test_a_secret_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key"
    atomic_write(path, b"one", replace=False)
    with pytest.raises(FileExistsError):
        atomic_write(path, b"two", replace=False)
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"one", [path])


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "stack.json"
    atomic_write(path, b"old")

    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space"):
        atomic_write(path, b"new")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"old", [path])


def test_the_folder_is_on_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(module, "sync_folder", synced.append)
    atomic_write(tmp_path / "inbox" / "study" / "a.dcm", b"x")
    assert synced == [tmp_path, tmp_path / "inbox", tmp_path / "inbox" / "study"]
