"""What a site no longer needs: rows of the ledger by class, and studies in the inbox that were read.

A study in the inbox goes when nothing came for it for a while and nobody may still read it; one that failed stays
longer, so that it can be tried again.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from filelock import FileLock

from core.clock import now
from core.private_files import OWNER_ONLY_FOLDER
from core.uid import is_uid
from ledger import KeptFor, StudyUse
from serve_apps.settings import INBOX, Settings

logger = logging.getLogger("serinus.purge")
PURGED: Final = "purge"
ASIDE: Final = ".gone-"


class OldRows(Protocol):
    """`ledger.retention`."""

    def due(self, kept_for: KeptFor) -> Mapping[str, int]: ...
    def purge(self, kept_for: KeptFor, *, actor: str) -> Mapping[str, int]: ...
    def use_of(self, source: str, study_uid: str) -> StudyUse: ...


class AuditLog(Protocol):
    """`ledger.audit`."""

    def append(self, actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> object: ...


class SitePurge:
    """Tells what is due, or deletes it; blocks, for a loop with a thread of its own and for a command."""

    def __init__(
        self, rows: OldRows, audit: AuditLog, settings: Settings, clock: Callable[[], datetime] = now
    ) -> None:
        self._rows = rows
        self._audit = audit
        self._kept_for = KeptFor(
            documents=_days(settings.keep_documents_days),
            jobs=_days(settings.keep_jobs_days),
            evidence=_days(settings.keep_evidence_days),
        )
        self._inbox = settings.paths.inbox
        self._after_success = timedelta(hours=settings.keep_inbox_hours)
        self._after_failure = timedelta(hours=settings.keep_failed_inbox_hours)
        self._clock = clock

    def due(self) -> Mapping[str, int]:
        """How much `purge` would delete now, by class. Raises LedgerUnavailable."""
        return {**self._rows.due(self._kept_for), INBOX: sum(1 for _ in self._done_with())}

    def purge(self, actor: str) -> Mapping[str, int]:
        """Delete it; returns how much, by class. Raises LedgerUnavailable."""
        rows = self._rows.purge(self._kept_for, actor=actor)
        with FileLock(
            self._inbox.with_name(f"{self._inbox.name}.lock")
        ):  # a command and the loop, or two loops
            self._put_all_back()
            studies = sum(self._empty(folder) for folder in self._done_with())
        if studies:
            self._audit.append(actor, PURGED, INBOX, {"studies": studies})
        deleted = {**rows, INBOX: studies}
        logger.info("purge.done", extra={name: number for name, number in deleted.items() if number})
        return deleted

    def _done_with(self) -> Iterator[Path]:
        """Folders of studies that came long ago and that nobody has still to read."""
        folders = sorted(self._inbox.iterdir()) if self._inbox.is_dir() else []
        for folder in folders:
            if not is_uid(folder.name) or self._has_younger(folder, self._after_success):
                continue
            use = self._rows.use_of(INBOX, folder.name)
            is_old = use is not StudyUse.IN_USE and not self._has_younger(folder, self._after_failure)
            if use is StudyUse.READ or is_old:
                yield folder

    def _has_younger(self, folder: Path, age: timedelta) -> bool:
        since = (self._clock() - age).timestamp()
        return any(path.stat().st_mtime > since for path in (folder, *folder.iterdir()))

    def _empty(self, folder: Path) -> bool:
        """Delete the study, unless something came for it at this moment: then all of it is put back."""
        aside = folder.with_name(f"{ASIDE}{folder.name}")
        os.rename(folder, aside)  # what comes from here on makes the folder anew
        if self._has_younger(aside, self._after_success):
            _put_back(aside)
            return False
        shutil.rmtree(aside)
        return True

    def _put_all_back(self) -> None:
        """What a process that was killed has left aside is judged anew."""
        for aside in self._inbox.glob(f"{ASIDE}*"):
            _put_back(aside)


def _put_back(aside: Path) -> None:
    folder = aside.with_name(aside.name.removeprefix(ASIDE))
    folder.mkdir(exist_ok=True, mode=OWNER_ONLY_FOLDER)
    for path in aside.iterdir():
        os.replace(path, folder / path.name)
    aside.rmdir()


def _days(days: float | None) -> timedelta | None:
    return None if days is None else timedelta(days=days)
