"""Where a source's reports are stored: back in the PACS, or as files beside a folder of studies."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path

from core.atomic_write import atomic_write
from core.errors import ReportRejected
from imaging.dicomweb import DicomwebArchive
from imaging.encoded import EncodedInstance
from serve_apps.adapters.archives import Archives
from serve_apps.application.executors import run_in
from serve_apps.settings import FolderSourceSettings


class ReportStores:
    """Stores a report at the source that its study came from; storing the same one again changes nothing."""

    def __init__(self, archives: Archives, reports: Path, executor: Executor) -> None:
        self._archives = archives
        self._reports = reports
        self._executor = executor

    async def store(self, source_id: str, content: bytes, deadline_s: float) -> None:
        """Store a Part 10 file, byte for byte. Raises ReportRejected or SourceError, at latest after `deadline_s`."""
        archive = self._archives.of(source_id)
        report = await run_in(self._executor, EncodedInstance.of, content)
        if isinstance(archive, DicomwebArchive):
            await archive.store([report], deadline_s)
            return
        source = self._archives.source(source_id)
        folder = source.reports if isinstance(source, FolderSourceSettings) else None
        await run_in(self._executor, write_report, folder or self._reports, report)


def report_path(folder: Path, report: EncodedInstance) -> Path:
    return folder / report.study_uid / f"{report.instance_uid}.dcm"


def write_report(folder: Path, report: EncodedInstance) -> None:
    """Write one Part 10 file whole or not at all; its name is its SOP Instance UID."""
    try:
        atomic_write(report_path(folder, report), report.content)
    except OSError as error:
        raise ReportRejected(f"the folder for reports cannot be written: {type(error).__name__}") from None
