"""Where a source's reports are stored: back in the PACS, or as files beside a folder of studies."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pydicom

from core.atomic_write import atomic_write
from core.errors import ReportRejected
from imaging.dicomweb import DicomwebArchive
from imaging.report_sr import to_part10
from serve_apps.adapters.archives import Archives
from serve_apps.settings import FolderSourceSettings


class ReportStores:
    """Stores a report at the source that its study came from; storing the same one again changes nothing."""

    def __init__(self, archives: Archives, reports: Path) -> None:
        self._archives = archives
        self._reports = reports

    async def store(self, source_id: str, dataset: pydicom.Dataset) -> None:
        """Raises ReportRejected or SourceError."""
        archive = self._archives.of(source_id)
        if isinstance(archive, DicomwebArchive):
            await archive.store([dataset])
            return
        source = self._archives.source(source_id)
        folder = source.reports if isinstance(source, FolderSourceSettings) else None
        await asyncio.to_thread(write_report, folder or self._reports, dataset)


def report_path(folder: Path, dataset: pydicom.Dataset) -> Path:
    return folder / str(dataset.StudyInstanceUID) / f"{dataset.SOPInstanceUID}.dcm"


def write_report(folder: Path, dataset: pydicom.Dataset) -> Path:
    """Write one Part 10 file whole or not at all; its name is its SOP Instance UID."""
    path = report_path(folder, dataset)
    try:
        atomic_write(path, to_part10(dataset))
    except OSError as error:
        raise ReportRejected(f"the folder for reports cannot be written: {type(error).__name__}") from None
    return path
