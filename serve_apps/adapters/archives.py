"""From the settings of a source to its archive: the one place that knows every kind."""

from __future__ import annotations

from core.errors import UnknownSource
from imaging.archive import Archive, FetchLimits
from imaging.dicomweb import DicomwebArchive, DicomwebSource
from imaging.folder import FolderArchive, FolderSource
from imaging.object_store import ObjectArchive, ObjectSource
from serve_apps.settings import (
    INBOX,
    DicomwebSourceSettings,
    FolderSourceSettings,
    ObjectSourceSettings,
    Settings,
    SourceSettings,
)


class Archives:
    """Archives by source id, opened when first asked for and kept."""

    def __init__(self, settings: Settings, limits: FetchLimits | None = None) -> None:
        self._sources = settings.all_sources
        self._limits = limits or fetch_limits(settings)
        self._open: dict[str, Archive] = {}

    def of(self, source_id: str) -> Archive:
        """The archive of a configured source; raises UnknownSource."""
        if source_id not in self._open:
            self._open[source_id] = open_archive(self.source(source_id), self._limits)
        return self._open[source_id]

    def source(self, source_id: str) -> SourceSettings:
        try:
            return self._sources[source_id]
        except KeyError:
            raise UnknownSource("no source of that id is configured") from None

    async def aclose(self) -> None:
        for archive in self._open.values():
            await archive.aclose()


def fetch_limits(settings: Settings) -> FetchLimits:
    """What a site lets one study cost."""
    return FetchLimits(
        max_bytes=settings.max_study_bytes,
        max_instances=settings.max_study_instances,
        timeout_s=settings.fetch_timeout_s,
        pixels=settings.pixel_limits,
    )


def open_archive(source: SourceSettings, limits: FetchLimits) -> Archive:
    match source:
        case FolderSourceSettings():
            return FolderArchive(FolderSource(source.id, source.root, by_study=source.id == INBOX), limits)
        case DicomwebSourceSettings():
            return DicomwebArchive(
                DicomwebSource(
                    source.id,
                    source.base_url,
                    username=source.username,
                    password=source.password.get_secret_value() if source.password else None,
                    token=source.token.get_secret_value() if source.token else None,
                ),
                limits,
            )
        case ObjectSourceSettings():
            return ObjectArchive(
                ObjectSource(
                    source.id, source.allowed_prefixes, source.endpoint_url, source.region, source.reports
                ),
                limits,
            )
