"""The study of the demo: a real one, read once everything is up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from imaging.samples.fetch import WrittenSample, write_samples
from serve_apps.settings import Settings

Progress = Callable[[str], None]
DEMO_SAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "head-ct": "a real CT of a head, read for intracranial haemorrhage",
        "brain-mr-colin": "a real MR of one head (Colin27), read for brain volume",
        "chest-cr": "a real chest radiograph, checked for being a usable frontal film",
    }
)


class NoSample(RuntimeError):
    """Not one sample study could be had."""


def main_study(settings: Settings, progress: Progress) -> WrittenSample:
    """The first demo sample that is there; writes it when it is not. Raises NoSample."""
    for sample in DEMO_SAMPLES:
        written = write_samples(settings.paths.samples, settings.paths.downloads, [sample], progress)
        if written:
            return written[0]
    raise NoSample("no sample study could be fetched; name one of your own with `serinus submit FOLDER`")
