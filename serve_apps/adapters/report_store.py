"""Where a source's reports are stored: in its PACS, its bucket, or as files beside its studies."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from core.atomic_write import atomic_write
from core.errors import ReportRejected
from imaging.dicomweb import DicomwebArchive
from imaging.encoded import EncodedInstance
from imaging.folder import OWN_FOLDER
from imaging.object_store import ObjectArchive
from serve_apps.adapters.archives import Archives
from serve_apps.application.executors import run_in
from serve_apps.settings import FolderSourceSettings, SourceSettings

THREADS_PER_FOLDER: Final = 2


class ReportStores:
    """Stores a report at the source that its study came from; storing the same one again changes nothing.

    Each folder has threads of its own, so that one that hangs, as on a network, holds up no other destination.
    """

    def __init__(
        self,
        archives: Archives,
        reports: Path,
        executor: Executor,
        write: Callable[[Path, EncodedInstance], None] | None = None,
    ) -> None:
        self._archives = archives
        self._reports = reports
        self._executor = executor
        self._write = write or write_report
        self._disks: dict[Path, ThreadPoolExecutor] = {}

    async def store(self, source_id: str, content: bytes, deadline_s: float) -> None:
        """Store a Part 10 file, byte for byte. Raises ReportRejected or SourceError, at latest after `deadline_s`."""
        archive = self._archives.of(source_id)
        report = await run_in(self._executor, EncodedInstance.of, content)
        if isinstance(archive, DicomwebArchive):
            await archive.store([report], deadline_s)
            return
        if isinstance(archive, ObjectArchive) and archive.reports:
            await archive.store(report)
            return
        folder = reports_folder(self._archives.source(source_id)) or self._reports
        await run_in(self._disk_of(folder), self._write, folder, report)

    def close(self) -> None:
        """Let the threads go; one that hangs ends with its process."""
        for disk in self._disks.values():
            disk.shutdown(wait=False, cancel_futures=True)

    def _disk_of(self, folder: Path) -> ThreadPoolExecutor:
        if folder not in self._disks:
            self._disks[folder] = ThreadPoolExecutor(THREADS_PER_FOLDER, "reports")
        return self._disks[folder]


def reports_folder(source: SourceSettings) -> Path | None:
    """The folder for the reports of a folder's studies: the one that is set, else one of our own beside them."""
    if not isinstance(source, FolderSourceSettings):
        return None
    return source.reports or source.root / OWN_FOLDER


def report_path(folder: Path, report: EncodedInstance) -> Path:
    return folder / report.study_uid / f"{report.instance_uid}.dcm"


def write_report(folder: Path, report: EncodedInstance) -> None:
    """Write one Part 10 file whole or not at all; its name is its SOP Instance UID."""
    try:
        atomic_write(report_path(folder, report), report.content)
    except OSError as error:
        raise ReportRejected(f"the folder for reports cannot be written: {type(error).__name__}") from None
