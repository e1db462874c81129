"""The simplest source: DICOM files anywhere below a folder, found by their headers.

Reports may lie in a folder of ours beside the studies, which is passed over.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Final

from core.errors import SourceUnavailable, StudyError, StudyNotFound
from imaging.archive import Budget, FetchLimits, SeriesEntry, StudyInstances, check_uid, wanted_series
from imaging.elements import text
from imaging.instance import names_of
from imaging.intake import read_object, to_study
from imaging.pydicom_config import configure_pydicom

OWN_FOLDER: Final = "serinus-reports"
"""What lies in this folder of a root is no study: results of ours."""

_THREADS: Final = 4
_DIRECTORY: Final = "DICOMDIR"  # of a medium, beside its images (PS3.10 8)


@dataclass(frozen=True, slots=True)
class FolderSource:
    """DICOM files anywhere below `root`; their names do not matter.

    With `by_study` the files of each study lie in a folder of its own below `root`, named by its UID: others are not
    looked at, however many there are.
    """

    id: str
    root: Path
    by_study: bool = False


@dataclass(frozen=True, slots=True)
class _FileEntry:
    mtime_ns: int
    size: int
    study_uid: str = ""  # blank: no DICOM of any study
    series_uid: str = ""
    modality: str = ""


@dataclass
class _Index:
    """Headers of the files under a root, read again only when size or time of change differ."""

    root: Path
    by_study: bool = False
    files: dict[Path, _FileEntry] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def of_study(self, study_uid: str) -> tuple[dict[Path, _FileEntry], int]:
        """The files of a study, and how many files beside them, in the same folders, cannot be read."""
        with self.lock:
            self.files = dict(self._entries(self.root / study_uid if self.by_study else self.root))
            files = {path: entry for path, entry in self.files.items() if entry.study_uid == study_uid}
            folders = {path.parent for path in files}
            junk = [path for path, entry in self.files.items() if not entry.study_uid]
            return files, sum(path.parent in folders and path.name != _DIRECTORY for path in junk)

    def studies(self) -> tuple[str, ...]:
        """The studies of all files, sorted by UID."""
        with self.lock:
            self.files = dict(self._entries(self.root))
            return tuple(sorted({entry.study_uid for entry in self.files.values() if entry.study_uid}))

    def _entries(self, folder: Path) -> Iterator[tuple[Path, _FileEntry]]:
        for path in _files_below(folder):
            try:
                status = path.stat()
                entry = self.files.get(path)
                if entry is None or (entry.mtime_ns, entry.size) != (status.st_mtime_ns, status.st_size):
                    entry = _read_entry(path, status)
            except FileNotFoundError:  # it was moved away since it was listed
                continue
            yield path, entry


class FolderArchive:
    """Studies in a folder. Only what is a UID is ever joined to a path, and only where studies lie by UID."""

    def __init__(self, source: FolderSource, limits: FetchLimits | None = None) -> None:
        configure_pydicom()
        self._limits = limits or FetchLimits()
        self._index = _Index(source.root.resolve(), source.by_study)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="folder")

    async def fetch_study(
        self,
        study_uid: str,
        *,
        series_uids: Sequence[str] | None = None,
        modalities: Sequence[str] | None = None,
    ) -> StudyInstances:
        check_uid(study_uid)
        fetch = partial(self._fetch, study_uid, series_uids, modalities)
        return await asyncio.get_running_loop().run_in_executor(self._pool, fetch)

    async def study_uids(self) -> tuple[str, ...]:
        """The UID of every study below the root."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._index.studies)

    async def aclose(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _fetch(
        self, study_uid: str, series_uids: Sequence[str] | None, modalities: Sequence[str] | None
    ) -> StudyInstances:
        files, junk = self._index.of_study(study_uid)
        if not files:
            raise StudyNotFound("the folder holds no such study")
        entries = {
            entry.series_uid: SeriesEntry(entry.series_uid, entry.modality) for entry in files.values()
        }
        chosen = {
            entry.series_uid for entry in wanted_series(tuple(entries.values()), series_uids, modalities)
        }
        budget = Budget(self._limits)
        paths = [path for path, entry in files.items() if entry.series_uid in chosen]
        for path in paths:
            budget.spend(size=files[path].size, instances=1)
        objects = (read_object(_content(path), budget.inflate) for path in paths)
        return to_study(objects, budget.spent_bytes, left_out=junk)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, PermissionError):
        return b""  # harms itself only, as a file without DICOM in it does
    except OSError:
        raise SourceUnavailable("the folder cannot be read") from None


def _files_below(root: Path) -> list[Path]:
    """Regular files, sorted, but those in our own folder; links that lead out of the root are not followed."""
    own = str(root / OWN_FOLDER)
    files = (Path(folder) / name for folder, _, names in _walk(root, own) for name in names)
    return sorted(path for path in files if path.is_file() and path.resolve().is_relative_to(root))


def _walk(root: Path, left_out: str) -> Iterator[tuple[str, list[str], list[str]]]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if os.path.join(folder, name) != left_out]
        yield folder, folders, names


def _read_entry(path: Path, status: os.stat_result) -> _FileEntry:
    """Raises FileNotFoundError."""
    try:
        with path.open("rb") as stream:
            names = names_of(stream)
    except FileNotFoundError:
        raise
    except (StudyError, OSError):
        return _FileEntry(status.st_mtime_ns, status.st_size)
    study, series, modality = (
        text(names, keyword) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "Modality")
    )
    return _FileEntry(status.st_mtime_ns, status.st_size, study, series, modality)
