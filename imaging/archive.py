"""Where studies come from: the port that every source speaks, its limits, and the simplest source, a folder.

`fetch_study` moves bytes and parses headers; it decides nothing about models. Errors never hold a UID.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Final, Protocol

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from core.errors import RequestError, StudyNotFound, StudyTooLarge, UnsupportedSeries
from core.uid import is_uid
from imaging.elements import text
from imaging.instance import parse_instance
from imaging.pydicom_config import configure_pydicom

_FOLDER_THREADS: Final = 4
_DOCUMENTS: Final = "AU DOC ECG FID HD KO PLAN PR REG RTDOSE RTPLAN RTRECORD RTSTRUCT RWV SEG SMR SR STAIN"
NOT_IMAGES: Final = frozenset(_DOCUMENTS.split())
"""Modalities that carry no image a model could read (PS3.3 C.7.3.1.1.1); skipped unless asked for by UID."""


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What one study may cost: bytes received, instances, and seconds from request to last byte."""

    max_bytes: int = 8 * 2**30
    max_instances: int = 5000
    timeout_s: float = 120.0


@dataclass(frozen=True, slots=True)
class StudyInstances:
    """The fetched instances by Series Instance UID, in the order received.

    Datasets hold patient data, so they are not in the repr (asyncio prints results of tasks). PixelData may be a
    memoryview of the received bytes: read it with `decode.stored_pixels`.
    """

    series: Mapping[str, tuple[Dataset, ...]] = field(repr=False)
    bytes_received: int
    pixel_digests: Mapping[str, bytes] = field(
        default_factory=dict, repr=False
    )  # by instance, for `to_volume`


class Archive(Protocol):
    async def fetch_study(
        self,
        study_uid: str,
        *,
        series_uids: Sequence[str] | None = None,
        modalities: Sequence[str] | None = None,
    ) -> StudyInstances:
        """All wanted instances of a study.

        `series_uids` asks for exactly these; `modalities` leaves series of others where they are. Raises
        RequestError (not a UID), StudyNotFound, UnsupportedSeries (nothing of these modalities),
        StudyTooLarge, SourceUnavailable, SourceTimeout, StudyError (an object is not DICOM).
        """
        ...

    async def aclose(self) -> None: ...


class Budget:
    """Counts what a fetch spends, from several threads. Raises StudyTooLarge at the limit."""

    def __init__(self, limits: FetchLimits) -> None:
        self.limits = limits
        self._lock = Lock()
        self.spent_bytes = 0
        self.instances = 0

    def spend(self, *, size: int = 0, instances: int = 0) -> None:
        with self._lock:
            self.spent_bytes += size
            self.instances += instances
            over_bytes = self.spent_bytes > self.limits.max_bytes
            over_instances = self.instances > self.limits.max_instances
        if over_bytes:
            raise StudyTooLarge(f"the study has more than {self.limits.max_bytes / 2**20:.0f} MiB")
        if over_instances:
            raise StudyTooLarge(f"the study has more than {self.limits.max_instances} instances")

    def refund(self, *, size: int, instances: int) -> None:
        """Take back what an attempt spent that is made again."""
        with self._lock:
            self.spent_bytes -= size
            self.instances -= instances


@dataclass(frozen=True, slots=True)
class SeriesEntry:
    """What an index says of a series before its pixels move. `instances` is None when it does not say."""

    series_uid: str
    modality: str
    instances: int | None = None


def check_uid(uid: str) -> str:
    """Return a UID that is one (PS3.5 §9.1), so that it is safe in a path. Raises RequestError."""
    if not is_uid(uid):
        raise RequestError("not a DICOM UID: digits and single dots, at most 64 characters")
    return uid


def wanted_series(
    entries: Sequence[SeriesEntry], series_uids: Collection[str] | None, modalities: Collection[str] | None
) -> tuple[SeriesEntry, ...]:
    """The series to fetch.

    Raises StudyNotFound when one that was asked for is missing, UnsupportedSeries when none is left.
    """
    if series_uids is not None:
        chosen = tuple(entry for entry in entries if entry.series_uid in series_uids)
        missing = len(set(series_uids)) - len(chosen)
        if missing:
            raise StudyNotFound(f"{missing} of the series asked for are not in the study")
        return chosen
    chosen = tuple(entry for entry in entries if _is_wanted(entry.modality, modalities))
    if not chosen:
        raise UnsupportedSeries(
            f"no series of modality {_listed(modalities or ['image'])}: {_census(entries)}"
        )
    return chosen


def _is_wanted(modality: str, modalities: Collection[str] | None) -> bool:
    if modalities is None:
        return modality not in NOT_IMAGES
    return modality in modalities or not modality  # QIDO may leave it blank; the series rule decides later


def _census(entries: Sequence[SeriesEntry]) -> str:
    counts = {modality: 0 for modality in sorted({known_modality(entry.modality) for entry in entries})}
    for entry in entries:
        counts[known_modality(entry.modality)] += 1
    return "the study has " + _listed(f"{count} {modality}" for modality, count in counts.items())


def known_modality(modality: str) -> str:
    """A modality fit for a message: a code string as it is, anything else (free text) as `unknown`."""
    return modality if re.fullmatch(r"[A-Z][A-Z0-9_]{1,15}", modality) else "unknown"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words) or "none"


def group_by_series(datasets: Iterable[Dataset]) -> dict[str, tuple[Dataset, ...]]:
    """Instances by series in order of arrival; an instance that comes twice counts once."""
    seen: set[str] = set()
    series: dict[str, list[Dataset]] = {}
    for dataset in datasets:
        instance_uid = text(dataset, "SOPInstanceUID")
        if instance_uid and instance_uid in seen:
            continue
        seen.add(instance_uid)
        series.setdefault(text(dataset, "SeriesInstanceUID"), []).append(dataset)
    return {uid: tuple(instances) for uid, instances in series.items()}


@dataclass(frozen=True, slots=True)
class FolderSource:
    """DICOM files anywhere below `root`; their names do not matter."""

    id: str
    root: Path


@dataclass(frozen=True, slots=True)
class _FileEntry:
    mtime_ns: int
    size: int
    study_uid: str  # empty: not DICOM
    series_uid: str = ""
    modality: str = ""


@dataclass
class _Index:
    """Headers of the files under a root, read again only when size or time of change differ."""

    root: Path
    files: dict[Path, _FileEntry] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def of_study(self, study_uid: str) -> dict[Path, _FileEntry]:
        with self.lock:
            self.files = {path: self._entry(path) for path in _files_below(self.root)}
            return {path: entry for path, entry in self.files.items() if entry.study_uid == study_uid}

    def _entry(self, path: Path) -> _FileEntry:
        status = path.stat()
        entry = self.files.get(path)
        if entry is not None and (entry.mtime_ns, entry.size) == (status.st_mtime_ns, status.st_size):
            return entry
        return _read_entry(path, status)


class FolderArchive:
    """Studies in a folder. A UID is only ever compared with headers, never joined to a path."""

    def __init__(self, source: FolderSource, limits: FetchLimits | None = None) -> None:
        configure_pydicom()
        self._limits = limits or FetchLimits()
        self._index = _Index(source.root.resolve())
        self._pool = ThreadPoolExecutor(_FOLDER_THREADS, thread_name_prefix="folder")

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

    async def aclose(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _fetch(
        self, study_uid: str, series_uids: Sequence[str] | None, modalities: Sequence[str] | None
    ) -> StudyInstances:
        files = self._index.of_study(study_uid)
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
        return StudyInstances(
            group_by_series(parse_instance(path.read_bytes()) for path in paths), budget.spent_bytes
        )


def _files_below(root: Path) -> list[Path]:
    """Regular files, sorted; links that lead out of the root are not followed."""
    files = (Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    return sorted(path for path in files if path.is_file() and path.resolve().is_relative_to(root))


def _read_entry(path: Path, status: os.stat_result) -> _FileEntry:
    keywords: list[str] = ["StudyInstanceUID", "SeriesInstanceUID", "Modality"]
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(keywords))
    except (InvalidDicomError, ValueError, OSError, EOFError, NotImplementedError):
        return _FileEntry(status.st_mtime_ns, status.st_size, study_uid="")
    study, series, modality = (str(header.get(keyword, "")) for keyword in keywords)
    return _FileEntry(status.st_mtime_ns, status.st_size, study, series, modality)
