"""A folder of genuine studies becomes the reference of a version's input check.

Each study is read as a replica would read it. Half of the patients are fitted, and the other half sets the limit.
What is kept holds no patient: means and spreads of measures of all images, and distances from them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import ModelRefused, SourceError, StudyError
from imaging.archive import StudyInstances
from imaging.assemble import to_volume
from imaging.elements import text
from imaging.folder import FolderArchive, FolderSource
from imaging.series import choose_series
from imaging.summary import summarize_study
from models.input_check.descriptor import Vector, describe, kind_for
from models.input_check.fit import FALSE_REFUSAL_RATE, fit_reference
from models.input_check.reference import Reference
from models.spec import InputSpec

LEAST_OF_EACH: Final = 20  # studies to fit, and as many others to set the limit
GROUP: Final = "genuine studies"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Described:
    """The measures of one patient's study."""

    patient: str
    vector: Vector


def reference_of_folder(folder: Path, spec: InputSpec, progress: Progress) -> Reference:
    """Fit every study that the version could read. Raises ModelRefused when these are too few."""
    described, left_out = asyncio.run(_describe_all(folder, spec))
    for reason, count in sorted(left_out.items()):
        progress(f"{count} of the reference studies left out: {reason}")
    fitted, held_out = split(described)
    if min(len(fitted), len(held_out)) < LEAST_OF_EACH:
        raise ModelRefused(
            f"the reference folder gives {len(fitted)} studies to fit and {len(held_out)} of other patients to set "
            f"the limit; {LEAST_OF_EACH} of each are needed"
        )
    rate = max(FALSE_REFUSAL_RATE, 1 / len(held_out))
    progress(
        f"{len(fitted)} studies fitted, {len(held_out)} held out: at most {rate:.1%} of such are refused"
    )
    return fit_reference(kind_for(spec), {GROUP: fitted}, held_out, false_refusal_rate=rate)


def split(described: Sequence[Described]) -> tuple[list[Vector], list[Vector]]:
    """Every other patient's studies, and those of the others."""
    patients = sorted({each.patient for each in described})
    fitted = set(patients[::2])
    return (
        [each.vector for each in described if each.patient in fitted],
        [each.vector for each in described if each.patient not in fitted],
    )


async def _describe_all(folder: Path, spec: InputSpec) -> tuple[list[Described], Counter[str]]:
    archive = FolderArchive(FolderSource("reference", folder))
    described: list[Described] = []
    left_out: Counter[str] = Counter()
    try:
        for study_uid in await archive.study_uids():
            try:
                instances = await archive.fetch_study(study_uid, modalities=spec.series.modalities)
                described.append(_described(instances, spec))
            except (StudyError, SourceError) as error:
                left_out[error.detail] += 1
    finally:
        await archive.aclose()
    return described, left_out


def _described(instances: StudyInstances, spec: InputSpec) -> Described:
    """Raises StudyError."""
    chosen = choose_series(summarize_study(instances.series), spec.series).require()
    series = instances.series[chosen.series_uid]
    volume = to_volume(series, max_gap_ratio=spec.series.max_gap_ratio)
    return Described(text(series[0], "PatientID") or chosen.series_uid, describe(volume, kind_for(spec)))
