"""Where studies come from: the port that every source speaks, and its limits.

`fetch_study` moves bytes and parses headers; it decides nothing about models. Errors never hold a UID.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Final, Protocol

from pydicom.dataset import Dataset

from core.errors import RequestError, StudyNotFound, StudyTooLarge, UnsupportedSeries
from core.uid import is_uid
from imaging.elements import text
from imaging.inflate import inflate
from imaging.pixel_limits import PixelLimits, room_bytes

_DOCUMENTS: Final = "AU DOC ECG FID HD KO PLAN PR REG RTDOSE RTPLAN RTRECORD RTSTRUCT RWV SEG SMR SR STAIN"
NOT_IMAGES: Final = frozenset(_DOCUMENTS.split())
"""Modalities that carry no image a model could read (PS3.3 C.7.3.1.1.1); skipped unless asked for by UID."""


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What one study may cost: bytes received, instances, seconds from request to last byte, and its pixels."""

    max_bytes: int = 8 * 2**30
    max_instances: int = 5000
    timeout_s: float = 120.0
    pixels: PixelLimits = field(default_factory=PixelLimits)

    def within(self, memory_bytes: int) -> FetchLimits:
        """These limits for a process that may hold so much; received pixels count as decoded ones do."""
        pixels = self.pixels.within(memory_bytes)
        return replace(self, max_bytes=min(self.max_bytes, room_bytes(memory_bytes)), pixels=pixels)


@dataclass(frozen=True, slots=True)
class StudyInstances:
    """The fetched instances by Series Instance UID, in the order received.

    Datasets hold patient data, so they are not in the repr (asyncio prints results of tasks). PixelData may be a
    memoryview of the received bytes: read it with `decode.stored_pixels`. `notes` say what was left out.
    """

    series: Mapping[str, tuple[Dataset, ...]] = field(repr=False)
    bytes_received: int
    pixel_digests: Mapping[str, bytes] = field(
        default_factory=dict, repr=False
    )  # by single-frame instance, for `to_volume`
    notes: tuple[str, ...] = ()


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
        StudyTooLarge, PixelsTooLarge, SourceUnavailable, SourceTimeout, StudyError (no object can be read). An object
        that cannot be read is left out and counted in the notes.
        """
        ...

    async def aclose(self) -> None: ...


class Budget:
    """Counts what a fetch spends, from several threads. Raises StudyTooLarge at the limit."""

    def __init__(self, limits: FetchLimits) -> None:
        self.limits = limits
        self._lock = Lock()
        self._inflating = Lock()
        self.spent_bytes = 0
        self.instances = 0
        self.inflated_bytes = 0

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

    def inflate(self, deflated: memoryview) -> bytes:
        """The content of a deflated object, one at a time. Raises PixelsTooLarge at a limit, StudyError on damage."""
        with self._inflating:
            left = self.limits.pixels.study_bytes - self.inflated_bytes
            content = inflate(deflated, min(self.limits.pixels.image_bytes, left))
            self.inflated_bytes += len(content)
        return content

    def refund(self, *, size: int, instances: int, inflated: int = 0) -> None:
        """Take back what an attempt spent that is made again."""
        with self._lock:
            self.spent_bytes -= size
            self.instances -= instances
        with self._inflating:
            self.inflated_bytes -= inflated


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
