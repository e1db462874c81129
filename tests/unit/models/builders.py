"""Whole valid things; a test states only what matters to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from imaging.finding import Code, ModelStamp, Urgency
from imaging.series import SeriesRule
from imaging.volume import Geometry, Volume
from models.spec import (
    Channel,
    FindingSpec,
    InputSpec,
    IntendedUse,
    Layout,
    ModelSpec,
    OutputSpec,
    Scaling,
    Task,
)

BLEED = Code("1386000", "SCT", "Intracranial hemorrhage")
BRAIN = Code("12738006", "SCT", "Brain")
VOLUME = Code("118565006", "SCT", "Volume")
STAMP = ModelStamp("m", "1", "0" * 64, "us", research_only=True)
ANY_SERIES = SeriesRule(modalities=("CT", "MR", "CR"))


def geometry(**changes: Any) -> Geometry:
    """Axial: columns run to the left, rows to the back, slices upwards (LPS)."""
    whole: dict[str, Any] = {
        "spacing_mm": (2.0, 1.0, 1.0),
        "origin_mm": (0.0, 0.0, 0.0),
        "row_cosine": (1.0, 0.0, 0.0),
        "column_cosine": (0.0, 1.0, 0.0),
        "slice_thickness_mm": 2.0,
    }
    return Geometry(**(whole | changes))


def volume(voxels: npt.NDArray[Any], **changes: Any) -> Volume:
    """A read-only CT, as it comes out of shared memory. Instance UIDs are 1.2.<slice>."""
    voxels = np.array(voxels)
    voxels.flags.writeable = False
    whole: dict[str, Any] = {
        "voxels": voxels,
        "geometry": geometry(),
        "modality": "CT",
        "body_part": "HEAD",
        "series_uid": "1.1",
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "instance_uids": tuple(f"1.2.{index}" for index in range(len(voxels))),
        "inverted": False,
        "evidence": b"",
        "input_digest": "1" * 64,
    }
    return Volume(**(whole | changes))


def ramp(slices: int = 4, rows: int = 6, columns: int = 8) -> npt.NDArray[np.int16]:
    """Voxels that all differ."""
    return np.arange(slices * rows * columns, dtype=np.int16).reshape(slices, rows, columns)


def input_spec(**changes: Any) -> InputSpec:
    whole: dict[str, Any] = {
        "series": ANY_SERIES,
        "layout": Layout.SLICES,
        "channels": (Channel(Scaling.NONE),),
    }
    return InputSpec(**(whole | changes))


def finding_spec(**changes: Any) -> FindingSpec:
    whole: dict[str, Any] = {"concept": BLEED, "threshold": 0.5, "urgency": Urgency.CRITICAL}
    return FindingSpec(**(whole | changes))


def output_spec(**changes: Any) -> OutputSpec:
    whole: dict[str, Any] = {"task": Task.CLASSIFICATION, "findings": (finding_spec(),)}
    return OutputSpec(**(whole | changes))


def model_spec(**changes: Any) -> ModelSpec:
    whole: dict[str, Any] = {
        "name": "tiny",
        "manufacturer": "us",
        "input": input_spec(),
        "output": output_spec(),
        "intended_use": IntendedUse("For tests.", ("CT",)),
    }
    return ModelSpec(**(whole | changes))
