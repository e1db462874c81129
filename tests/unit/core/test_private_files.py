"""What is written is its owner's, also where a folder was there before."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.private_files import ForeignFolder, private_folder, write_privately


@pytest.fixture
def careless() -> Iterator[None]:
    """A process that shares all it writes with everybody; put back afterwards."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("careless")
def test_what_a_process_writes_is_its_owners(tmp_path: Path) -> None:
    write_privately()
    (tmp_path / "folder").mkdir(mode=0o777)
    (tmp_path / "folder" / "file").write_text("x")
    assert (mode(tmp_path / "folder"), mode(tmp_path / "folder" / "file")) == (0o700, 0o600)


@pytest.mark.usefixtures("careless")
def test_a_folder_that_was_open_is_closed(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    for name in ("state", "new/state"):
        assert mode(private_folder(tmp_path / name)) == 0o700


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(ForeignFolder):
        private_folder(tmp_path)
