"""The numbers that stand for a volume in the input check, by the kind of input that a version reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from imaging.volume import Geometry, Volume
from models.input_check.film import film_measures
from models.input_check.sampling import sample_of
from models.input_check.stack import Measure, hounsfield_measures, relative_measures
from models.spec import InputSpec, Layout

Vector = npt.NDArray[np.float64]
WORST = 1e3  # plausible differences: no single measure counts for more than this


class DescriptorKind(StrEnum):
    """What is measured of the input. A change of the measures is a new kind: a reference names its own."""

    HOUNSFIELD = "hounsfield-1"
    RELATIVE = "relative-1"
    FILM = "film-1"


def kind_for(spec: InputSpec) -> DescriptorKind:
    """What is measured for a version that reads by `spec`."""
    if spec.layout is Layout.IMAGE:
        return DescriptorKind.FILM
    return DescriptorKind.HOUNSFIELD if spec.series.modalities == ("CT",) else DescriptorKind.RELATIVE


def measures_of(volume: Volume, kind: DescriptorKind) -> list[Measure]:
    """Each measure with its name, always the same ones in the same order. A number that is none becomes 0.

    Of an image in colour its brightness is measured.
    """
    if volume.is_colour:
        volume = replace(volume, voxels=volume.voxels.mean(axis=-1, dtype=np.float32))
    return _MEASURES[kind](volume)


def describe(volume: Volume, kind: DescriptorKind) -> Vector:
    """The measures `(measures,)`, each in units of what may plausibly differ between two patients."""
    measures = measures_of(volume, kind)
    vector = np.array([measure.value / measure.plausible for measure in measures])
    return np.asarray(np.nan_to_num(vector, nan=WORST, posinf=WORST, neginf=-WORST), np.float64)


def names_of(kind: DescriptorKind) -> tuple[str, ...]:
    """What the measures of a kind are called: in order, and for any volume."""
    return tuple(measure.name for measure in measures_of(_blank(), kind))


def _blank() -> Volume:
    return Volume(
        voxels=np.zeros((2, 8, 8), np.int16),
        geometry=Geometry((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), None),
        modality="OT",
        body_part="",
        series_uid="",
        sop_class_uid="",
        instance_uids=("", ""),
        inverted=False,
        evidence=b"",
        input_digest="",
    )


_MEASURES: Mapping[DescriptorKind, Callable[[Volume], list[Measure]]] = MappingProxyType(
    {
        DescriptorKind.HOUNSFIELD: lambda volume: hounsfield_measures(sample_of(volume)),
        DescriptorKind.RELATIVE: lambda volume: relative_measures(sample_of(volume)),
        DescriptorKind.FILM: film_measures,
    }
)
