"""Builders of what a report is made from. A test states only what matters to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from imaging.assemble import to_volume
from imaging.encoded import to_part10
from imaging.enhanced import frames_of
from imaging.evidence import encode_evidence
from imaging.finding import Box, Code, Finding, Measurement, ModelStamp, Prediction, Presence, Urgency
from imaging.report_sr import ReportContext, to_sr
from imaging.samples.synthetic import make_ct_study
from imaging.samples.writer import SampleIdentity, SampleImage, SampleModality, to_series
from imaging.volume import Geometry, Volume
from tests.enhanced import enhanced

CREATED = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
BLEED = Code("1386000", "SCT", "Intracranial hemorrhage")
BRAIN = Code("12738006", "SCT", "Brain")
LUNG = Code("39607008", "SCT", "Lung")
VOLUME = Code("118565006", "SCT", "Volume")
MILLILITRE = Code("ml", "UCUM", "milliliter")
STAMP = ModelStamp("ich-triage", "3", "ab" * 32, "Demo maker", research_only=False)


def source(slices: int = 5, size: int = 16, seed: str = "report", **header: Any) -> Volume:
    """A small CT; `header` are attributes of its evidence by keyword, None removes one."""
    datasets = make_ct_study(seed, slices=slices, size=size)
    first = datasets[0]
    for keyword, value in header.items():
        if value is None:
            delattr(first, keyword)
        else:
            setattr(first, keyword, value)
    first.set_original_encoding(False, True, first.get("SpecificCharacterSet", "iso8859"))
    return Volume(
        voxels=np.stack([dataset.pixel_array for dataset in datasets]).astype(np.int16),
        geometry=geometry_of(first),
        modality=first.Modality,
        body_part="HEAD",
        series_uid=str(first.SeriesInstanceUID),
        sop_class_uid=str(first.SOPClassUID),
        instance_uids=tuple(str(dataset.SOPInstanceUID) for dataset in datasets),
        inverted=False,
        evidence=encode_evidence(first),
        input_digest="cd" * 32,
    )


def enhanced_source(slices: int = 5, size: int = 16) -> Volume:
    """A small CT in one multi-frame object."""
    return to_volume(frames_of(enhanced(make_ct_study("report", slices=slices, size=size))))


def film_source() -> Volume:
    """A small radiograph without position, spacing or frame of reference."""
    identity = SampleIdentity("film", "SYNTHETIC^FILM", SampleModality.CR, "CHEST", "Synthetic film")
    image = SampleImage(np.arange(256, dtype=np.uint16).reshape(1, 16, 16), None, (128.0, 256.0))
    return to_volume(list(to_series(identity, image)))


def geometry_of(first: Dataset) -> Geometry:
    row_mm, column_mm = map(float, first.PixelSpacing)
    x, y, z = map(float, first.ImagePositionPatient)
    return Geometry((5.0, row_mm, column_mm), (x, y, z), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 5.0)


def finding(**changes: Any) -> Finding:
    values: dict[str, Any] = {
        "concept": BLEED,
        "presence": Presence.PRESENT,
        "probability": 0.93,
        "threshold": 0.5,
        "urgency": Urgency.CRITICAL,
        "site": BRAIN,
    }
    return Finding(**(values | changes))


def prediction(volume: Volume, **changes: Any) -> Prediction:
    values: dict[str, Any] = {
        "stamp": STAMP,
        "series_uid": volume.series_uid,
        "input_digest": volume.input_digest,
        "findings": (),
    }
    return Prediction(**(values | changes))


def classification(volume: Volume, **changes: Any) -> Prediction:
    uid, frame = volume.image(len(volume.instance_uids) // 2)
    found = finding(key_instance_uid=uid, key_frame=frame)
    values = {"findings": (found,), "priority_score": 87, "urgency": Urgency.CRITICAL}
    return prediction(volume, **(values | changes))


def segmentation(volume: Volume, **changes: Any) -> Prediction:
    mask = np.zeros(volume.voxels.shape, bool)
    mask[1:3, 4:9, 5:12] = True
    measured = (Measurement(VOLUME, 1956.3123456789123, MILLILITRE, BRAIN),)
    values = {"mask": mask, "mask_concept": BRAIN, "measurements": measured}
    return prediction(volume, **(values | changes))


def localisation(volume: Volume, **changes: Any) -> Prediction:
    uid, frame = volume.image(0)
    boxes = (
        Box(LUNG, uid, 1, 2, 9, 7, frame),
        Box(LUNG, uid, 1, 8, 9, 13, frame),
    )
    usable = finding(concept=Code("399208008", "SCT", "Plain chest X-ray"), urgency=Urgency.NONE, site=None)
    return prediction(volume, **({"findings": (usable,), "boxes": boxes} | changes))


def items(container: Dataset) -> Iterator[Dataset]:
    """Every content item below, parents first."""
    for item in container.get("ContentSequence", []):
        yield item
        yield from items(item)


def named(document: Dataset, code: str) -> list[Dataset]:
    """Content items with this concept name."""
    return [
        item
        for item in items(document)
        if "ConceptNameCodeSequence" in item and item.ConceptNameCodeSequence[0].CodeValue == code
    ]


def values(document: Dataset, code: str) -> list[str]:
    """What the CODE items with this concept name say."""
    return [item.ConceptCodeSequence[0].CodeMeaning for item in named(document, code)]


CT = source()
CONTEXT = ReportContext.of(CT)


def report(of: Prediction, context: ReportContext = CONTEXT, created: datetime = CREATED) -> Dataset:
    return to_sr(of, context, created=created)


def stored(document: Dataset) -> Dataset:
    return pydicom.dcmread(BytesIO(to_part10(document)))
