"""STOW-RS into a folder of our own: each instance is on disk before it is acknowledged (PS3.18 10.5)."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from core.atomic_write import atomic_write
from core.errors import StudyError
from core.uid import is_uid
from imaging.dicomweb import MultipartError, MultipartSplitter, boundary_of
from imaging.elements import text
from imaging.instance import names_of
from serve_apps.api.problems import Problem
from serve_apps.application.executors import run_in

logger = logging.getLogger("serinus.stow")
CANNOT_UNDERSTAND = 0xC000  # PS3.4 B.2.3
STUDY_MISMATCH = 0xA900
OUT_OF_RESOURCES = 0xA700
SOP_CLASS, SOP_INSTANCE = "00081150", "00081155"
REFERENCED, FAILED, REASON = "00081199", "00081198", "00081197"


@dataclass(frozen=True, slots=True)
class StoredInstance:
    study_uid: str = field(repr=False)
    instance_uid: str = field(repr=False)
    sop_class_uid: str


@dataclass(frozen=True, slots=True)
class FailedInstance:
    reason: int
    instance_uid: str = field(default="", repr=False)
    sop_class_uid: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """What one store request came to: what lies on disk, and what was not taken."""

    stored: tuple[StoredInstance, ...]
    failed: tuple[FailedInstance, ...]

    @property
    def status(self) -> int:
        """200 all stored, 202 some, 409 none (PS3.18 table 10.5.3-1)."""
        if not self.failed:
            return 200
        return 202 if self.stored else 409

    def body(self) -> str:
        """The Store Instances Response Module as DICOM JSON."""
        module: dict[str, object] = {}
        if self.stored:
            module[REFERENCED] = {
                "vr": "SQ",
                "Value": [_reference(s.sop_class_uid, s.instance_uid) for s in self.stored],
            }
        if self.failed:
            module[FAILED] = {
                "vr": "SQ",
                "Value": [
                    _reference(f.sop_class_uid, f.instance_uid) | {REASON: {"vr": "US", "Value": [f.reason]}}
                    for f in self.failed
                ],
            }
        return json.dumps(module)


class Inbox:
    """A folder `<study>/<instance>.dcm`; pushing an instance again changes nothing."""

    def __init__(self, root: Path, source: str, max_bytes: int, executor: Executor) -> None:
        self.source = source
        self._root = root
        self._max_bytes = max_bytes
        self._executor = executor

    async def receive(
        self, headers: Mapping[str, str], chunks: AsyncIterator[bytes], study_uid: str | None
    ) -> Received:
        """Split the body while it arrives. Raises Problem 400, 413 or 415; what was stored before stays."""
        splitter = MultipartSplitter(self._boundary(headers))
        announced = headers.get("content-length", "")
        self._refuse_large(int(announced) if announced.isdecimal() else 0)
        stored: list[StoredInstance] = []
        failed: list[FailedInstance] = []
        size = 0
        try:
            async for chunk in chunks:
                size += len(chunk)
                self._refuse_large(size)
                for body in splitter.feed(chunk):
                    outcome = await run_in(self._executor, self._keep, bytes(body), study_uid)
                    (stored if isinstance(outcome, StoredInstance) else failed).append(outcome)  # type: ignore[arg-type]
            splitter.close()
        except MultipartError as error:
            raise Problem("bad-request", str(error)) from None
        if not stored and not failed:
            raise Problem("bad-request", "the body holds no instance")
        return Received(tuple(stored), tuple(failed))

    def _boundary(self, headers: Mapping[str, str]) -> bytes:
        try:
            return boundary_of(headers.get("content-type", ""))
        except MultipartError as error:
            raise Problem("unsupported-media-type", f"{error}; send multipart/related") from None

    def _refuse_large(self, size: int) -> None:
        if size > self._max_bytes:
            raise Problem("body-too-large", f"at most {self._max_bytes} bytes are taken at once")

    def _keep(self, body: bytes, study_uid: str | None) -> StoredInstance | FailedInstance:
        try:
            names = names_of(io.BytesIO(body))
        except StudyError:
            return FailedInstance(CANNOT_UNDERSTAND)
        instance = StoredInstance(
            text(names, "StudyInstanceUID"), text(names, "SOPInstanceUID"), text(names, "SOPClassUID")
        )
        if not (is_uid(instance.study_uid) and is_uid(instance.instance_uid)):
            return FailedInstance(CANNOT_UNDERSTAND)
        if study_uid is not None and instance.study_uid != study_uid:
            return FailedInstance(STUDY_MISMATCH, instance.instance_uid, instance.sop_class_uid)
        try:
            atomic_write(self._root / instance.study_uid / f"{instance.instance_uid}.dcm", body)
        except OSError as error:
            logger.error("stow.not_stored", extra={"error": type(error).__name__, "errno": error.errno})
            return FailedInstance(OUT_OF_RESOURCES, instance.instance_uid, instance.sop_class_uid)
        return instance


def _reference(sop_class: str, instance: str) -> dict[str, object]:
    return {
        SOP_CLASS: {"vr": "UI", "Value": [sop_class] if sop_class else []},
        SOP_INSTANCE: {"vr": "UI", "Value": [instance] if instance else []},
    }
