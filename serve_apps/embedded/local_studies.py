"""A folder of DICOM files on this machine as a study that the stack can read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from core.errors import StudyNotFound
from serve_apps.settings import INBOX, Settings


def study_of_folder(settings: Settings, folder: Path) -> tuple[str, str]:
    """Copy the folder's study into the inbox; returns (study UID, source id). Raises StudyNotFound."""
    found: dict[str, list[tuple[Path, str]]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        header = _header(path)
        if header is not None:
            found.setdefault(str(header.StudyInstanceUID), []).append((path, str(header.SOPInstanceUID)))
    if len(found) != 1:
        raise StudyNotFound(f"the folder holds {len(found)} studies; name a folder of exactly one")
    ((study_uid, files),) = found.items()
    target = settings.paths.inbox / study_uid
    target.mkdir(parents=True, exist_ok=True)
    for path, instance_uid in files:
        if not (target / f"{instance_uid}.dcm").exists():
            shutil.copyfile(path, target / f"{instance_uid}.dcm")
    return study_uid, INBOX


def _header(path: Path) -> pydicom.Dataset | None:
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
    except (InvalidDicomError, EOFError, OSError):
        return None
    return header if "StudyInstanceUID" in header and "SOPInstanceUID" in header else None
