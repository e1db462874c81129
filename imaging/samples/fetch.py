"""Sample studies on disk: fetched once, written once, each independent of the others."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom

from imaging.samples.catalogue import SAMPLES, Sample
from imaging.samples.packages import SampleUnavailable
from imaging.samples.writer import to_series

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class WrittenSample:
    """A study in `folder`: one Part 10 file per instance, named by its number."""

    id: str
    study_uid: str
    folder: Path
    modality: str
    instances: int


def write_samples(
    destination: Path, cache: Path, only: Sequence[str] | None, progress: Progress
) -> tuple[WrittenSample, ...]:
    """Write the samples named (None or empty: all) below `destination`; what is there already stays.

    A sample that cannot be had is reported through `progress` and left out of the result. Raises ValueError
    for an unknown id.
    """
    chosen = [_sample(name) for name in (only or SAMPLES)]
    written = (_write(sample, destination / sample.id, cache, progress) for sample in chosen)
    return tuple(sample for sample in written if sample is not None)


def _sample(name: str) -> Sample:
    if name not in SAMPLES:
        raise ValueError(f"there is no sample {name!r}; there are {', '.join(SAMPLES)}")
    return SAMPLES[name]


def _write(sample: Sample, folder: Path, cache: Path, progress: Progress) -> WrittenSample | None:
    if not _is_complete(sample, folder):
        try:
            content = sample.file.read(cache, progress)
        except SampleUnavailable as error:
            progress(f"sample {sample.id} is left out: {error}")
            return None
        _write_series(sample, content, folder, cache)
        progress(f"sample {sample.id}: {sample.instances} instances ({sample.licence})")
    return WrittenSample(
        sample.id, sample.study_uid, folder, sample.identity.modality.value, sample.instances
    )


def _is_complete(sample: Sample, folder: Path) -> bool:
    files = sorted(folder.glob("*.dcm"))
    if len(files) != sample.instances:
        return False
    header = pydicom.dcmread(files[-1], specific_tags=["StudyInstanceUID"], stop_before_pixels=True)
    return str(header.StudyInstanceUID) == sample.study_uid


def _write_series(sample: Sample, content: bytes, folder: Path, cache: Path) -> None:
    """Beside the cache first, then moved whole: nobody who lists the folder finds half a study."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        partial = Path(scratch) / sample.id
        partial.mkdir()
        for number, dataset in enumerate(to_series(sample.identity, sample.read(content)), 1):
            dataset.save_as(partial / f"{number:04d}.dcm", enforce_file_format=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(partial, folder)
